"""Anomaly detection on live network telemetry.

    MQTT message -> decode -> align -> window -> score -> decide -> Prometheus
                    samples   steps    windows   scores   verdicts

The code reads in that order: one stage a module of `detector.stream`, one noun of
`detector.stream.nouns` on every arrow, and one place, `detector.stream.pipeline`, that knows the
order. Imports point inwards only::

    cli, daemon, demo  ->  settings, edge, model, train, evaluate, simulate  ->  stream

`stream` is the core: numbers in, values out; no clock, no IO, no threads, no logging. TensorFlow is
imported inside the functions of `model.networks`, `model.runtime` and `train.fit` alone, so that a
command that needs no network starts in a fraction of a second.
"""

__version__ = "0.1.0"
