"""Small data in the layout of the public sets, for `tests.benchmark.quality`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

STEPS, TRAIN = 900, 450
EVENT = slice(700, 720)


def servers(folder: Path, label: str, names: tuple[str, ...], step_s: float) -> None:
    """Write a set of servers whose second half has one event each, in the signal `s1`."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    time_s = 1_600_000_000 // step_s * step_s + step_s * np.arange(STEPS)
    tables, labels, told = [], [f"start,end,{label},event,kind"], [f"start,end,{label},signals"]
    for name in names:
        values = rng.normal(size=(STEPS, 3))
        values[EVENT, 1] += 30.0
        columns = {"time": time_s, label: [name] * STEPS, "train": np.arange(STEPS) < TRAIN}
        tables.append(pa.table(columns | {f"s{index}": values[:, index] for index in range(3)}))
        when = f"{time_s[EVENT][0]},{time_s[EVENT][-1]},{name}"
        labels.append(f"{when},anomaly,fault")
        told.append(f"{when},s1")
    pq.write_table(pa.concat_tables(tables), folder / "samples.parquet")
    (folder / "labels.csv").write_text("\n".join(labels) + "\n", "utf-8")
    (folder / "interpretation.csv").write_text("\n".join(told) + "\n", "utf-8")
    (folder / "tsb_ad_published.csv").write_text(f"file,machine,trim,tr\nx,{names[0]},20,200\n", "utf-8")


CISCO_STEP_S = 5.0
CISCO_STEPS = 240
ONSET = 150


def cisco(folder: Path) -> None:
    """Write a set with a BGP clear of one of three devices, and one with a shutdown of an interface."""
    rng = np.random.default_rng(0)
    time_s = 1_500_000_000.0 + CISCO_STEP_S * np.arange(CISCO_STEPS)
    onset_s, end_s = time_s[ONSET] + 1.0, time_s[-1]
    happens = {"ds02_bgpclear": ("r2", "clear_bgp", ""), "ds11": ("r2", "shutdown_interface", "if1")}
    for name, (device, event, target) in happens.items():
        place = folder / name
        place.mkdir(parents=True)
        label = f"{onset_s},{end_s},{device},{event},{target},fault,"
        (place / "labels.csv").write_text(f"start,end,device,event,target,kind,note\n{label}\n", "utf-8")
        devices, interfaces = [], []
        for one in ("r1", "r2", "r3"):
            hit = (time_s > onset_s) * 60.0 if one == device and not target else 0.0
            devices.append(_table(time_s, {"device": one}, rng.normal(size=CISCO_STEPS) + hit))
            for port in ("if0", "if1"):
                hit = (time_s > onset_s) * 60.0 if (one, port) == (device, target) else 0.0
                entity = {"device": one, "interface": port}
                interfaces.append(_table(time_s, entity, rng.normal(size=CISCO_STEPS) + hit))
        pq.write_table(pa.concat_tables(devices), place / "devices.parquet")
        pq.write_table(pa.concat_tables(interfaces), place / "interfaces.parquet")


def _table(time_s: np.ndarray, entity: dict[str, str], load: np.ndarray) -> pa.Table:
    names = {label: [value] * len(time_s) for label, value in entity.items()}
    return pa.table({"time": time_s, **names, "load": load})
