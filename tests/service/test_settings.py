"""Settings: defaults, the environment, and what the server does not start with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.memory import MIN_BYTES, available_bytes
from service.settings import Settings, SettingsError, is_loopback


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"LIQUID_{name.upper()}", raising=False)


def test_by_default_only_this_machine_may_call() -> None:
    """Loopback, without a key."""
    assert (Settings().host, Settings().port, Settings().api_keys) == ("127.0.0.1", 8765, ())


def test_the_environment_sets_what_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument wins over a variable, a variable over the default; lists are parted by commas."""
    monkeypatch.setenv("LIQUID_PORT", "9000")
    monkeypatch.setenv("LIQUID_MAX_BATCH_SIZE", "64")
    monkeypatch.setenv("LIQUID_API_KEYS", "first, second,")
    monkeypatch.setenv("LIQUID_LOG_JSON", "true")
    settings = Settings(port=9001)
    assert (settings.port, settings.max_batch_size, settings.log_json) == (9001, 64, True)
    assert settings.api_keys == ("first", "second")


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose passes variables on that nobody has set."""
    monkeypatch.setenv("LIQUID_API_KEYS", "")
    monkeypatch.setenv("LIQUID_REDIS_URL", " ")
    assert (Settings().api_keys, Settings().redis_url) == ((), None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_the_network_is_not_let_in_without_a_key(host: str) -> None:
    """The refusal says all three ways out."""
    with pytest.raises(SettingsError, match=r"(?s)LIQUID_API_KEYS.*127\.0\.0\.1.*--insecure"):
        Settings(host=host)
    assert Settings(host=host, api_keys=("k" * 32,)).host == host
    assert Settings(host=host, insecure=True).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "[::1]", "localhost", "LocalHost."])
def test_loopback_has_many_names(host: str) -> None:
    """All of 127/8, ::1 and localhost."""
    assert is_loopback(host)
    assert Settings(host=host).host == host


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"port": 65536}, "port"),
        ({"port": "many"}, "port"),
        ({"max_batch_size": 0}, "max_batch_size"),
        ({"log_level": "loud"}, "log_level"),
        ({"engine": "steam"}, "engine"),
        ({"engine_threads": -1}, "engine_threads"),
        ({"redis_url": "http://hunter2@x"}, "redis_url"),
        ({"api_keys": ("hunter2 two",)}, "api_keys"),
        ({"speed": "hunter2"}, "speed"),
    ],
)
def test_a_wrong_setting_is_named_without_its_value(given: dict[str, Any], name: str) -> None:
    """A value may be a secret."""
    with pytest.raises(SettingsError, match=f"^{name}: ") as refusal:
        Settings(**given)
    assert "hunter2" not in str(refusal.value)


def test_secrets_do_not_show() -> None:
    """Neither keys nor the store's URL, which may hold a password, are in the representation."""
    settings = Settings(api_keys=("hunter2",), redis_url="redis://:hunter2@store")
    assert "hunter2" not in repr(settings)


def test_data_lies_where_the_desktop_specification_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG_DATA_HOME if it is absolute, else ~/.local/share."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Settings().data_dir == tmp_path / "liquidstream"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings().data_dir == tmp_path / ".local" / "share" / "liquidstream"


def test_settings_do_not_change() -> None:
    """What was checked at the start still holds."""
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "num_bytes"),
    [("512MB", 512 * 10**6), ("2GB", 2 * 10**9), ("1.5 gb", 15 * 10**8), ("2GiB", 2**31), ("100000000", 10**8)],
)
def test_memory_is_an_amount_with_a_unit(monkeypatch: pytest.MonkeyPatch, text: str, num_bytes: int) -> None:
    """Of thousands or of 1024s; without a unit they are bytes."""
    monkeypatch.setenv("LIQUID_MEMORY", text)
    assert Settings().streams_bytes == num_bytes


@pytest.mark.parametrize("text", ["lots", "2 GBit", "-1GB", "10MB", "0"])
def test_an_amount_of_memory_that_is_none_is_named(text: str) -> None:
    """Nor does a server start with less than one stream of a large kind may take."""
    with pytest.raises(SettingsError, match="memory"):
        Settings(memory=text)


def test_streams_take_a_part_of_the_memory_that_there_is() -> None:
    """Less of it beside an embedded store, which is on the same machine."""
    alone, beside = Settings(redis_url="redis://elsewhere"), Settings()
    assert MIN_BYTES <= beside.streams_bytes <= available_bytes() / 4 or beside.streams_bytes == MIN_BYTES
    assert beside.streams_bytes <= alone.streams_bytes <= available_bytes()
