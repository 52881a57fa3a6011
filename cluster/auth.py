"""Who may call the gateways: the section `auth` of the config."""

from __future__ import annotations

import posixpath
from typing import Any, Literal

from pydantic import Field, model_validator

from cluster.sections import Section

NONE = "none"


class AuthConfig(Section):
    """Where keys are kept, or that there are none. `auth: none` is short for `keys: none`.

    Nothing given is `keys: database`: the database of `database_url`, in which there is no key
    until one is added. `keys_file` is read where the gateways run, and again when it changes.
    Without keys a gateway serves only peers on its own machine, unless `open_to_network` says that
    anybody who reaches it may use it.
    """

    keys: Literal["database", "none"] | None = None
    keys_file: str | None = Field(None, min_length=1)
    open_to_network: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_a_word(cls, data: Any) -> Any:
        if data == NONE:
            return {"keys": NONE}
        if data is None or isinstance(data, str | bool):
            raise ValueError(
                "must be none, or a mapping such as {keys_file: keys.yaml} or {keys: database}"
            )
        return data

    @model_validator(mode="after")
    def _keys_are_in_one_place(self) -> AuthConfig:
        if self.keys is not None and self.keys_file is not None:
            raise ValueError(f"give keys_file or keys, not both (given: keys: {self.keys})")
        if self.open_to_network and self.asks_for_keys:
            raise ValueError("open_to_network: is only for keys: none; with keys nothing is open")
        return self

    @property
    def asks_for_keys(self) -> bool:
        return self.keys != NONE

    @property
    def loopback_only(self) -> bool:
        """Whether peers on other machines are refused, as nothing tells callers apart."""
        return not self.asks_for_keys and not self.open_to_network

    def anchored_at(self, working_directory: str) -> AuthConfig:
        """The same for processes that work elsewhere: a relative path is made absolute."""
        if self.keys_file is None:
            return self
        return self.model_copy(
            update={"keys_file": posixpath.join(working_directory, self.keys_file)}
        )
