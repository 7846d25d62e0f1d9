"""A made-up snapshot in which everything that can be exported occurs. Values are exact in float32."""

from dataclasses import replace

import numpy as np

from detector.edge.snapshot import (
    BundleSnapshot,
    OpenEpisode,
    RawSnapshot,
    RecordedSnapshot,
    RecordingsSnapshot,
    Snapshot,
    StreamSnapshot,
)
from detector.edge.snapshot_groups import EventsSnapshot, GroupsSnapshot, OpenGroupEpisode
from detector.edge.snapshot_mqtt import MqttSnapshot
from detector.stream.crowd import Group
from detector.stream.groups import Standing
from detector.stream.nouns import Alarm, Discontinuity, Spell, State

NOW_S = 1_700_000_000.0


def stream(name="interfaces", labels=("device", "interface"), entities=(), **changes):
    """Return a stream whose entities are all ready, with a score of 0.5 and no episode."""
    count = len(entities)
    values = {
        "name": name,
        "labels": labels,
        "signals": ("ifHCInOctets", "ifOperStatus", "ifInErrors"),
        "units": ("B/s", "", "1/s"),
        "bundle": None,
        "entities": entities,
        "state": (State.READY,) * count,
        "score": np.full(count, 0.5, np.float32),
        "active": np.zeros(count, bool),
        "onset_s": np.full(count, np.nan),
        "last_sample_s": np.full(count, NOW_S - 5),
        "in_maintenance": np.zeros(count, bool),
        "muted": np.zeros(count, bool),
        "episodes": (),
        "step_s": np.nan,
        "messages_missed_total": 0,
        "samples_total": 0,
        "samples_dropped": {},
        "samples_reordered_total": 0,
        "counter_resets": {},
        "counter_looks": {},
        "windows_scored_total": 0,
        "entities_refused": {},
        "episodes_total": 0,
        "told_silent": np.zeros(count, bool),
        "unheard": False,
        "patience_s": np.nan,
        "spells": (),
        "spells_total": {},
        "drift": np.full(3, np.nan),
        "retrain_advised": None,
        "budget_used": np.nan,
        "budget_exceeded": False,
    }
    return StreamSnapshot(**values | changes)


def interfaces():
    """Return a judged stream: one anomalous, one normal, one warming, one silent entity."""
    entities = (("leaf1", "Eth1/1"), ("leaf1", "Eth1/2"), ("leaf2", "Eth1/1"), ('sp"ine\\1', "a\nb <i>"))
    episode = OpenEpisode(
        entity=("leaf1", "Eth1/1"),
        onset_s=NOW_S - 90,
        score=3.5,
        contribution=np.array([0.75, 0.25, 0.0], np.float32),
        direction=np.array([-1, 1, 1], np.float32),
        observed=np.array([1024.5, np.nan, 0.0], np.float32),
        expected=np.array([12345678.0, 1.0, 0.0], np.float32),
        bound=np.array([np.nan, np.nan, np.nan], np.float32),
    )
    return stream(
        entities=entities,
        bundle=BundleSnapshot("20231101-1", "conv1d", NOW_S - 86400),
        state=(State.READY, State.READY, State.WARMING, State.SILENT),
        told_silent=np.array([False, False, False, True]),
        patience_s=60.0,
        spells=(
            Spell(Alarm.SLOW, 2, ("leaf2", "Eth1/1"), "", NOW_S - 600, NOW_S, 60.0, 10.0),
            Spell(Alarm.STUCK, 1, ("leaf1", "Eth1/2"), "ifInErrors", NOW_S - 300, NOW_S, 0.5, np.nan),
        ),
        spells_total={Alarm.SILENCE: 3, Alarm.STUCK: 1, Alarm.SLOW: 1},
        drift=np.array([1.5, np.nan, 0.25]),
        retrain_advised=True,
        budget_used=2.5,
        budget_exceeded=True,
        score=np.array([3.5, 0.25, np.nan, np.nan], np.float32),
        active=np.array([True, False, False, False]),
        onset_s=np.array([NOW_S - 90, np.nan, np.nan, np.nan]),
        in_maintenance=np.array([False, True, False, False]),
        muted=np.array([False, False, True, False]),
        episodes=(episode,),
        step_s=NOW_S - 10,
        messages_missed_total=6,
        samples_total=12000,
        samples_dropped={"late": 3},
        samples_reordered_total=7,
        counter_resets={
            (signal, reason.value): int((signal, reason) == ("ifHCInOctets", Discontinuity.RESET))
            for signal in ("ifHCInOctets", "ifInErrors")
            for reason in Discontinuity
        },
        counter_looks={"ifHCInOctets": 6000, "ifInErrors": 6000},
        windows_scored_total=400,
        entities_refused={"entities_max": 2},
        episodes_total=5,
    )


def out_of_range(stream):
    """Return a stream whose open episode has a signal that left its valid range."""
    beyond = np.array([np.nan, np.nan, 90.0], np.float32)
    return replace(stream, episodes=(replace(stream.episodes[0], bound=beyond),))


def recordings():
    """Return what a recorder of two streams has written, one of them to a disk that was full at times."""
    return RecordingsSnapshot(
        streams=(
            RecordedSnapshot("interfaces", 5000, 65536, 7, 2, 300, 4),
            RecordedSnapshot("bgp_peers", 10, 1024, 1, 0, 0, 0),
        ),
        raw=RawSnapshot(2000, 262144, 2, 1),
        tree_bytes=1_000_000,
        tree_bytes_max=1 << 30,
        deleted_files_total=3,
        deleted_bytes_total=32768,
        undeleted_files_total=1,
    )


def groups():
    """Return a device with an alarm, of an interface and the neighbour's, and a site without."""
    members = (("interfaces", ("leaf1", "Eth1/1")), ("interfaces", ('sp"ine\\1', "a\nb <i>")))
    episode = OpenGroupEpisode(
        id="1hf7yat0019s42kv3",
        group=Group(("device",), ("leaf1",)),
        onset_s=NOW_S - 90,
        anomalous=1,
        entities=2,
        members=members,
        members_total=2,
    )
    return GroupsSnapshot(
        standings=(
            Standing(Group(("device",), ("leaf1",)), 1, 2, NOW_S - 90),
            Standing(Group(("site", "rack"), ("fra", "12")), 2, 8, None),
        ),
        left_out=3,
        episodes=(episode,),
        grouped=dict.fromkeys(members, episode.id),
        episodes_total=4,
    )


def snapshot(**changes):
    """Return a ready daemon with a judged stream, and one of other labels that is only recorded."""
    peers = stream(
        "bgp_peers",
        ("peer",),
        (("192.0.2.1",),),
        state=(State.UNSCORED,),
        score=np.array([np.nan], np.float32),
    )
    mqtt = MqttSnapshot(
        connected=True,
        thread_alive=True,
        subscribed=True,
        reconnects_total=2,
        connect_failures={"refused": 3, "certificate_expired": 1},
        callback_errors_total=1,
        received={"telegraf/+/interface": 1500, "bmp/#": 20},
        heard_s={"telegraf/+/interface": 1_700_000_000.5},
        inbox_messages=4,
        inbox_messages_max=100_000,
        inbox_bytes=2048,
        inbox_bytes_max=1 << 28,
    )
    values = {
        "time_s": NOW_S,
        "missing": (),
        "mqtt": mqtt,
        "messages_dropped": {"not_json": 6},
        "streams": (interfaces(), peers),
        "groups": GroupsSnapshot() if "streams" in changes else groups(),  # whose members are of these
        "events": EventsSnapshot(published_total=20, dropped_total=2, refused_total=1, waiting=5),
        "recordings": recordings(),
        "calendar_errors": {"core": 2},
    }
    return Snapshot(**values | changes)
