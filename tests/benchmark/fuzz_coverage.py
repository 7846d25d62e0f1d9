"""Coverage-guided fuzzing of the decoders: inputs that reach new code are kept, and damaged further.

    pip install atheris
    python -m tests.benchmark.fuzz_coverage --seconds 3600 [--case telegraf] [--findings DIRECTORY]

The time is shared by the cases of `fuzz_decode`, whose payloads are the first corpus and whose contract is
what must hold. It ends with 1 where a case broke it, and the payload is in the directory of findings.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PAYLOAD_BYTES_MAX = 4096
"""A decoder that holds for a few records holds for more of them; short inputs are tried more often."""


def fuzz_one(number: int, corpus: Path, findings: Path, seconds: int) -> None:
    """Fuzz one case in this process; libFuzzer ends it."""
    import atheris  # noqa: PLC0415 -- not everybody has it

    with atheris.instrument_imports(include=["detector.stream.decode"]):
        from detector.stream.decode import decoder  # noqa: PLC0415 -- instrumented as it is imported
        from tests.benchmark.fuzz_decode import CASES, check  # noqa: PLC0415

    definition, topic, _ = CASES[number]
    reader = decoder(definition)

    def test_one(payload: bytes) -> None:
        check(reader, topic, payload)

    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-max_len={PAYLOAD_BYTES_MAX}",
        "-timeout=10",
        "-print_final_stats=1",
        f"-artifact_prefix={findings}/{definition.name}-",
        str(corpus),
    ]
    atheris.Setup(arguments, test_one)
    atheris.Fuzz()


def fuzz_all(seconds: float, name: str | None, findings: Path) -> bool:
    """Fuzz the cases one after the other; return whether the contract held in all of them."""
    from tests.benchmark.fuzz_decode import CASES  # noqa: PLC0415 -- as above

    chosen = [(at, case) for at, case in enumerate(CASES) if name in (None, case[0].name)]
    good = True
    for at, (definition, topic, seeds) in chosen:
        with tempfile.TemporaryDirectory() as directory:
            for index, seed in enumerate(seeds):
                (Path(directory) / f"seed-{index}").write_bytes(seed)
            share_s = max(1, round(seconds / len(chosen)))
            command = [sys.executable, "-m", "tests.benchmark.fuzz_coverage", "--seconds", str(share_s)]
            command += ["--number", str(at), "--corpus", directory, "--findings", str(findings)]
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
            kept = sum(1 for _ in Path(directory).iterdir())
        counts = re.findall(r"stat::number_of_executed_units: (\d+)", done.stderr)
        covered = re.findall(r"cov: (\d+)", done.stderr)
        executions = int(counts[-1]) if counts else 0
        print(
            f"{definition.name:>12} {topic:<24} {executions:>10,} executions in {share_s} s, "
            f"coverage {covered[-1] if covered else '?'}, {kept} inputs kept, "
            f"{'held' if done.returncode == 0 else 'BROKEN'}",
            flush=True,
        )
        if done.returncode:
            good = False
            print(done.stderr[-3000:], flush=True)
    return good


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--case", help="the name of a definition; default: all")
    parser.add_argument("--findings", type=Path, default=Path("findings"))
    parser.add_argument("--number", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.findings.mkdir(parents=True, exist_ok=True)
    if asked.number is not None:
        fuzz_one(asked.number, asked.corpus, asked.findings, round(asked.seconds))
        return 0
    return 0 if fuzz_all(asked.seconds, asked.case, asked.findings) else 1


if __name__ == "__main__":
    sys.exit(main())
