"""The OpenAPI document as a judge: is this an answer that it tells of?"""

from __future__ import annotations

import re
from typing import Any

import httpx2
from jsonschema import Draft202012Validator

BEYOND = re.compile(r"/(docs(/.*)?|openapi\.json|studio/.*)?")
"""Pages and their files, which the document leaves out."""


class Document:
    """An OpenAPI document. It tells of every request that succeeds, and of every answer."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._paths = {
            re.compile(re.sub(r"\{\w+\}", "[^/]+", path)): operations
            for path, operations in document["paths"].items()
        }

    def check(self, response: httpx2.Response) -> None:
        request = response.request
        response.read()
        found = [
            operations
            for path, operations in self._paths.items()
            if path.fullmatch(request.url.path)
        ]
        if not found:
            told = response.status_code in (404, 405) or BEYOND.fullmatch(request.url.path)
            assert told, f"{request.url.path} is not in the document"
            return
        method = request.method.lower()
        (operations,) = found
        if method == "head" or method not in operations:
            return
        answers = operations[method]["responses"]
        assert str(response.status_code) in answers, (request.method, response.status_code)
        self._check_body(answers[str(response.status_code)], response)
        if response.status_code == 200 and "requestBody" in operations[method]:
            self._check_request(operations[method]["requestBody"], request)

    def matches(self, name: str, value: Any) -> None:
        """Raises ValidationError where a value is not of the schema of that name."""
        self._validate({"$ref": f"#/components/schemas/{name}"}, value)

    def _check_body(self, answer: dict[str, Any], response: httpx2.Response) -> None:
        for name, header in answer.get("headers", {}).items():
            if name in response.headers and header["schema"].get("type") == "integer":
                assert response.headers[name].isdigit()
        kinds = answer.get("content", {})
        if not kinds:
            assert response.content == b""
            return
        kind = response.headers["content-type"].partition(";")[0]
        assert kind in kinds, (kind, list(kinds))
        if kind == "application/json":
            self._validate(kinds[kind]["schema"], response.json())

    def _check_request(self, body: dict[str, Any], request: httpx2.Request) -> None:
        kind = request.headers["content-type"].partition(";")[0]
        assert kind in body["content"]
        if kind == "application/json":
            sent = httpx2.Response(200, content=request.content).json()
            self._validate(body["content"][kind]["schema"], sent)

    def _validate(self, schema: dict[str, Any], value: Any) -> None:
        whole = schema | {"components": self.document["components"]}
        Draft202012Validator(whole).validate(value)
