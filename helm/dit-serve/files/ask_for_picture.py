"""What `helm test` runs: asks the gateways for their models, then for a picture, and looks at it.

Standard library only. The environment says whom to ask (BASE_URL), which model (MODEL), for what
(PROMPT), for how many seconds to try (SECONDS_LEFT), whether a key is needed (ASKS_FOR_KEYS) and
which (DIT_SERVE_API_KEY).
"""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PAUSE_S = 5.0


def ask(path, body=None, *, until):
    """The JSON of an answer; asks again until `until` while there is none, or it is 503."""
    key = os.environ.get("DIT_SERVE_API_KEY", "").strip()
    request = urllib.request.Request(
        os.environ["BASE_URL"] + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"}
        | ({"Authorization": f"Bearer {key}"} if key else {}),
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=max(1.0, until - time.time())) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            said = f"{error.code} {error.read().decode(errors='replace')}"
            if error.code != 503:
                sys.exit(f"{path} answered {said}")
        except OSError as error:
            said = str(error)
        if time.time() + PAUSE_S > until:
            sys.exit(f"{path} gave no answer in time; the last was: {said}")
        print(f"{path}: {said}; asking again", flush=True)
        time.sleep(PAUSE_S)


def main():
    until = time.time() + float(os.environ["SECONDS_LEFT"])
    if os.environ["ASKS_FOR_KEYS"] and not os.environ.get("DIT_SERVE_API_KEY"):
        print(f"ready: {ask('/ready', until=until)['replicas']}")
        print("Without tests.apiKey that is all that is looked at; no picture was asked for")
        return
    model = os.environ["MODEL"]
    served = {entry["id"]: entry["tasks"] for entry in ask("/v1/models", until=until)["data"]}
    print(f"served: {', '.join(served)}", flush=True)
    if model not in served:
        sys.exit(f"{model} is not served")
    if "text-to-image" not in served[model]:
        print(f"{model} makes no pictures from text; that it is served is all that is looked at")
        return
    wanted = {"model": model, "prompt": os.environ["PROMPT"], "response_format": "b64_json"}
    answer = ask("/v1/images/generations", {**wanted, "output_format": "png"}, until=until)
    picture = base64.b64decode(answer["data"][0]["b64_json"])
    if not picture.startswith(PNG_SIGNATURE):
        sys.exit(f"{len(picture)} bytes came that are no PNG")
    print(f"a PNG of {len(picture)} bytes; receipt: {json.dumps(answer['receipt'])}")


if __name__ == "__main__":
    main()
