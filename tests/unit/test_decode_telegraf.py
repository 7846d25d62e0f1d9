"""Format `telegraf-json`: metrics as `outputs.mqtt` writes them, one by one and in batches."""

from collections import Counter
from dataclasses import replace

import pytest

from detector.stream.decode import decoder
from detector.stream.decode.records import RECORDS_MAX
from detector.stream.definition import Definition, Layout, Signal
from detector.stream.nouns import Batch, Drop, Message

ARRIVAL_S = 1_760_000_003.5

# inputs.snmp with a table, outputs.mqtt with topic "telegraf/{{ .Hostname }}/{{ .PluginName }}".
SNMP = (
    b'{"fields":{"ifAdminStatus":1,"ifHCInOctets":18446744073709551615,"ifHCOutOctets":98765432101,'
    b'"ifInErrors":0,"ifDescr":"GigabitEthernet0/0/1"},"name":"interface",'
    b'"tags":{"agent_host":"10.0.0.1","host":"poller-1","ifName":"Gi0/0/1"},"timestamp":1760000000}'
)
# inputs.cpu, with timestamps in milliseconds.
CPU = (
    b'{"fields":{"usage_idle":91.25,"usage_system":2.5,"usage_user":6.25},"name":"cpu",'
    b'"tags":{"cpu":"cpu-total","host":"srv-7"},"timestamp":1760000000250}'
)
MEM = b'{"fields":{"used_percent":41.5},"name":"mem","tags":{"host":"srv-7"},"timestamp":1760000000}'

INTERFACES = Definition(
    "interfaces",
    ("device", "ifName"),
    (Signal("in", field="ifHCInOctets"), Signal("out", field="ifHCOutOctets"), Signal("ifInErrors")),
    10.0,
    60,
    "telegraf/{device}/interface",
    "telegraf-json",
)
SERVERS = Definition(
    "servers",
    ("host", "cpu"),
    (Signal("usage_idle"), Signal("usage_user")),
    10.0,
    60,
    "telegraf/#",
    "telegraf-json",
)


def decode(definition, topic, payload):
    reader = decoder(definition)
    batch = Batch()
    drop = reader.decode(Message(topic, payload, ARRIVAL_S), reader.template.match(topic), batch)
    return drop, batch


def interface(payload):
    return decode(INTERFACES, "telegraf/r1/interface", payload)


def servers(payload):
    return decode(SERVERS, "telegraf/any", payload)


def test_an_snmp_interface_is_one_record_of_the_signals_that_the_stream_has():
    drop, batch = interface(SNMP)
    assert drop is None
    assert batch == Batch(
        [("r1", "Gi0/0/1")], [1_760_000_000.0], [0, 0, 0], [0, 1, 2], [2**64 - 1, 98765432101, 0]
    )


def test_a_cpu_metric_in_milliseconds_reads_as_seconds():
    drop, batch = servers(CPU)
    assert drop is None
    assert batch == Batch([("srv-7", "cpu-total")], [1_760_000_000.25], [0, 0], [0, 1], [91.25, 6.25])


def test_a_batch_gives_a_record_for_every_metric_that_is_the_streams():
    payload = b'{"metrics":[' + b",".join([CPU, MEM, CPU.replace(b"cpu-total", b"cpu0")]) + b"]}"
    drop, batch = servers(payload)
    assert drop is None
    assert batch.entities == [("srv-7", "cpu-total"), ("srv-7", "cpu0")]
    assert (batch.record, batch.signal) == ([0, 0, 1, 1], [0, 1, 0, 1])
    assert batch.dropped == {Drop.NO_SIGNAL: 1}


def test_a_metric_of_another_name_is_not_the_streams():
    definition = replace(SERVERS, layout=Layout(metric="cpu"))
    per_process = CPU.replace(b'"name":"cpu"', b'"name":"procstat"').replace(b"cpu-total", b"cpu0")
    nameless = CPU.replace(b'"name":"cpu",', b"")
    payload = b'{"metrics":[' + b",".join([per_process, CPU, nameless]) + b"]}"
    drop, batch = decode(definition, "telegraf/any", payload)
    assert (drop, batch.entities) == (None, [("srv-7", "cpu-total")])
    assert batch.dropped == {Drop.NO_SIGNAL: 2}
    assert decode(definition, "telegraf/any", per_process) == (Drop.NO_SIGNAL, Batch())


def test_a_metric_without_timestamp_is_as_old_as_its_arrival():
    _, batch = servers(CPU.replace(b',"timestamp":1760000000250', b""))
    assert batch.times_s == [ARRIVAL_S]


def test_the_label_of_the_topic_wins_over_the_tag():
    _, batch = interface(SNMP.replace(b'"host":"poller-1"', b'"device":"liar"'))
    assert batch.entities == [("r1", "Gi0/0/1")]


def test_an_empty_level_of_the_topic_leaves_the_label_to_the_tag():
    _, batch = decode(INTERFACES, "telegraf//interface", SNMP.replace(b'"host":"poller-1"', b'"device":"r9"'))
    assert batch.entities == [("r9", "Gi0/0/1")]


def test_one_field_can_be_two_signals():
    both = Definition(
        "x",
        ("host",),
        (Signal("a", field="used_percent"), Signal("used_percent")),
        10.0,
        60,
        "#",
        "telegraf-json",
    )
    _, batch = decode(both, "any", MEM)
    assert (batch.signal, batch.value) == ([0, 1], [41.5, 41.5])


@pytest.mark.parametrize(
    ("old", "new", "dropped"),
    [
        (b"91.25", b'"idle"', {Drop.NOT_A_NUMBER: 1}),
        (b"91.25", b'"91.25 %"', {Drop.NOT_A_NUMBER: 1}),
        (b"91.25", b"[91.25]", {Drop.NOT_A_NUMBER: 1}),
        (b"91.25", b"NaN", {Drop.NOT_FINITE: 1}),
        (b"91.25", b"-Infinity", {Drop.NOT_FINITE: 1}),
        (b"91.25", b"1e999", {Drop.NOT_FINITE: 1}),
        (b"91.25", b"9" * 5000, {Drop.NOT_FINITE: 1}),
        (b"91.25", b"null", {}),
    ],
)
def test_a_refused_value_is_counted_and_the_others_go_on(old, new, dropped):
    drop, batch = servers(CPU.replace(old, new))
    assert drop is None
    assert (batch.signal, batch.value) == ([1], [6.25])
    assert batch.dropped == dropped


def test_a_message_of_refused_values_has_no_signal_and_counts_them():
    drop, batch = servers(CPU.replace(b"91.25", b"NaN").replace(b"6.25", b"{}"))
    assert drop is Drop.NO_SIGNAL
    assert batch == Batch(dropped=Counter({Drop.NOT_FINITE: 1, Drop.NOT_A_NUMBER: 1}))


@pytest.mark.parametrize(
    ("payload", "drop"),
    [
        (b"", Drop.PAYLOAD_EMPTY),
        (b"cpu,host=srv-7 usage_idle=91.25 1760000000", Drop.NOT_JSON),  # the line protocol
        (CPU[:-1], Drop.NOT_JSON),
        (CPU.replace(b"srv-7", b"srv-\xff"), Drop.NOT_UTF8),
        (b"[" + CPU + b"]", Drop.WRONG_SHAPE),
        (b"12.5", Drop.WRONG_SHAPE),
        (b"{}", Drop.WRONG_SHAPE),
        (b'{"usage_idle":91.25,"host":"srv-7","cpu":"cpu0"}', Drop.WRONG_SHAPE),
        (b'{"fields":[1],"tags":{}}', Drop.WRONG_SHAPE),
        (b'{"metrics":{}}', Drop.WRONG_SHAPE),
        (b'{"metrics":[1]}', Drop.WRONG_SHAPE),
        (b'{"metrics":[]}', Drop.NO_SIGNAL),
        (b'{"metrics":[' + MEM + b"]}", Drop.NO_SIGNAL),
        (MEM, Drop.NO_SIGNAL),
        (CPU.replace(b'"cpu":"cpu-total",', b""), Drop.ENTITY_MISSING),
        (CPU.replace(b"cpu-total", b""), Drop.ENTITY_MISSING),
        (CPU.replace(b'"tags"', b'"labels"'), Drop.ENTITY_MISSING),
        (CPU.replace(b'{"cpu":"cpu-total","host":"srv-7"}', b"[]"), Drop.ENTITY_MISSING),
        (CPU.replace(b'"srv-7"', b"{}"), Drop.WRONG_SHAPE),
        (CPU.replace(b"srv-7", b"s" * 257), Drop.WRONG_SHAPE),
        (CPU.replace(b"1760000000250", b'"yesterday"'), Drop.TIME_UNREADABLE),
        (CPU.replace(b"1760000000250", b"-1"), Drop.TIME_UNREADABLE),
        (CPU.replace(b"1760000000250", b"true"), Drop.TIME_UNREADABLE),
        (CPU.replace(b"1760000000250", b"NaN"), Drop.TIME_UNREADABLE),
    ],
)
def test_a_bad_message_is_dropped_as_a_whole_with_its_reason(payload, drop):
    assert servers(payload) == (drop, Batch())


def test_a_batch_of_more_records_than_the_limit_is_records_max():
    payload = b'{"metrics":[' + b",".join([CPU] * (RECORDS_MAX + 1)) + b"]}"
    assert servers(payload) == (Drop.RECORDS_MAX, Batch())


def test_of_a_batch_the_bad_metrics_are_counted_once_each_and_the_others_go_on():
    bad = [MEM, CPU.replace(b"srv-7", b""), CPU.replace(b"1760000000250", b"0"), b"[]", b"null"]
    drop, batch = servers(b'{"metrics":[' + b",".join([*bad, CPU]) + b"]}")
    assert drop is None
    assert batch.entities == [("srv-7", "cpu-total")]
    assert batch.dropped == {
        Drop.NO_SIGNAL: 1, Drop.ENTITY_MISSING: 1, Drop.TIME_UNREADABLE: 1, Drop.WRONG_SHAPE: 2
    }  # fmt: skip


def test_a_batch_of_which_nothing_is_left_is_dropped_for_what_says_most():
    payload = b'{"metrics":[' + MEM + b"," + CPU.replace(b"srv-7", b"") + b"]}"
    assert servers(payload) == (Drop.ENTITY_MISSING, Batch())
