"""Where a pipeline's config files are: a folder, this project's own, or the hub. Never weights."""

from __future__ import annotations

from pathlib import Path

from cluster.errors import ConfigError

SHIPPED = Path(__file__).parent.parent / "configs" / "architectures"
"""Config files of well-known pipelines, one folder for each hub id with "/" as "--"."""

_FILES = ["model_index.json", "*/config.json"]


def architecture_folder(source: str) -> Path:
    """A folder with `model_index.json` and a `config.json` for each component.

    A folder is taken as it is. For a hub id: what this project ships, else the local cache of the
    hub, else the hub itself, of which only these files are fetched.

    Raises:
        ConfigError: they are nowhere to be had.
    """
    if Path(source).is_dir():
        return Path(source)
    shipped = SHIPPED / source.replace("/", "--")
    if (shipped / "model_index.json").is_file():
        return shipped
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        cached = Path(snapshot_download(source, allow_patterns=_FILES, local_files_only=True))
        if _is_whole(cached):
            return cached
    except LocalEntryNotFoundError:
        pass
    except HFValidationError as error:
        raise ConfigError(f"{source}: neither a folder nor a hub id") from error
    try:
        return Path(snapshot_download(source, allow_patterns=_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ConfigError(
            f"{source}: its config files are neither shipped nor cached here, and the hub did not "
            f"give them ({type(error).__name__})"
        ) from error


def _is_whole(folder: Path) -> bool:
    return (folder / "model_index.json").is_file() and any(folder.glob("*/config.json"))
