#!/usr/bin/env python3
"""run.py - libfaas beside the other systems that do its job: README.md tells what is measured and how

JSON lines go to standard output, the table and what goes on to standard error.
Exit codes: 0; 1 something failed, the table shows what did not; 2 wrong usage.
"""
import argparse
import json
import os
import platform
import signal
import statistics
import sys
from pathlib import Path

import place
import report
import systems

HERE = Path(__file__).resolve().parent
MEASURES = tuple(report.FIGURE)


def say(text, end="\n"):
    print(text, end=end, file=sys.stderr, flush=True)


def numbers(kind, least):
    """The type of an option: numbers with commas between, none below the least."""
    def parse(text):
        values = [kind(part) for part in text.split(",")]
        if not all(least <= v <= 1e6 for v in values):
            raise ValueError(text)
        return values
    parse.__name__ = "list of numbers"
    return parse


def number(kind, least):
    def parse(text):
        value = kind(text)
        if not least <= value <= 1e6:
            raise ValueError(text)
        return value
    parse.__name__ = "number"
    return parse


def parse_arguments():
    names = [s.name for s in systems.ALL]
    args = argparse.ArgumentParser(prog="peers", description="libfaas beside other systems; see README.md")
    args.add_argument("--build", type=Path, default=HERE.parent.parent / "build", help="a release build [build]")
    args.add_argument("--systems", metavar="A,B", help=f"only these: {', '.join(names)} [all]")
    args.add_argument("--rounds", type=number(int, 1), help="interleaved rounds [5; weak scaling: 9]")
    args.add_argument("--seconds", type=number(float, 0.01), default=1.0, help="of each measurement [1]")
    args.add_argument("--steady", type=number(int, 2), default=64, help="tasks in flight of the second measure [64]")
    args.add_argument("--no-tune", action="store_true", help="take the first settings instead of trying all")
    args.add_argument("--one-core", action="store_true", help="everything on one core")
    args.add_argument("--weak", action="store_true", help="instead: weak scaling with sleeping tasks")
    args.add_argument("--workers", type=numbers(int, 1), default=[1, 2, 4, 8, 16], help="weak [1,2,4,8,16]")
    args.add_argument("--sleep", type=numbers(float, 1e-5), default=[0.001, 0.01], help="weak, s [0.001,0.01]")
    args.add_argument("--tasks-per-worker", type=number(int, 1), default=200, help="weak [200]")
    args.add_argument("--markdown", metavar="FILE", type=Path, help="write the table there, too")
    args.add_argument("--smoke", action="store_true", help="a short run of ours and Pool, for the tests")
    o = args.parse_args()
    if o.smoke:
        o.rounds, o.seconds, o.no_tune = o.rounds or 1, 0.03, True
        o.workers, o.sleep, o.tasks_per_worker = [1, 2], [0.001], 10
        o.systems = o.systems or "local,local-map,push,pool,pool-1"
    o.build = o.build.resolve()  # the programs run in folders of their own
    o.rounds = o.rounds or (9 if o.weak else 5)
    o.systems = o.systems.split(",") if o.systems else names
    for name in o.systems:
        if name not in names:
            args.error(f"no system is called {name!r}; there are {', '.join(names)}")
    if not (o.build / "tools" / "faas-dispatcher").exists():
        args.error(f"{o.build}: no build of libfaas is there")
    return o


def chosen(o):
    """(those that can be had, [(name, why not)]); ours come along with whom is compared with them."""
    names = set(o.systems)
    if o.weak:
        names |= {"local", "push"}
    else:
        names |= {s.ours for s in systems.ALL if s.name in names and s.ours}
    there, skipped = [], []
    for kind in systems.ALL:
        if kind.name not in names or (o.weak and not kind.weak):
            continue
        system = kind(o.build)
        why = system.missing()
        if why:
            skipped.append((system.name, why))
            say(f"skipped: {system.name}: {why}")
        else:
            there.append(system)
    return there, skipped


def measure(system, variant, wants, seconds):
    """Starts it, and takes these figures: [(measure, in flight)]. Returns [figures]."""
    with place.Place() as at:
        command, env = system.start(at, variant, systems.WORKERS)
        found = []
        for what, in_flight in wants:
            out = at.ask([*command, *system.measure(what, in_flight, seconds)], env)
            found.append(json.loads(out.splitlines()[-1]))
        return found


def tune(o, system):
    """The settings of each measure: {measure: (variant, in flight)}, and what was tried."""
    measures = [m for m in MEASURES if m != "steady" or system.steady]
    first = {"one": 1, "steady": o.steady, "many": system.in_flight[0]}
    if o.no_tune or (len(system.variants) == 1 and len(system.in_flight) == 1):
        return {m: (system.variants[0], first[m]) for m in measures}, {}
    tried = {m: [] for m in measures}
    for variant in system.variants:
        wants = [("many", k) for k in system.in_flight]
        if len(system.variants) > 1:
            wants += [(m, first[m]) for m in measures if m != "many"]
        for (what, k), found in zip(wants, measure(system, variant, wants, o.seconds / 2)):
            tried[what].append((found[report.FIGURE[what]], variant, k))
    best = {m: (system.variants[0], first[m]) for m in measures}
    for m, every in tried.items():
        if every:
            best[m] = (min if m == "one" else max)(every, key=lambda t: t[0])[1:]
    return best, {m: [{**v, "in_flight": k, report.FIGURE[m]: f} for f, v, k in t] for m, t in tried.items()}


def take(o, system, settings):
    """All measures of one system with its best settings: {measure: figures}."""
    found, by_variant = {}, {}
    for m in MEASURES:
        if (system.name, m) in settings:
            variant, k = settings[system.name, m]
            by_variant.setdefault(json.dumps(variant), (variant, []))[1].append((m, k))
    for variant, wants in by_variant.values():
        for (m, _), figures in zip(wants, measure(system, variant, wants, o.seconds)):
            found[m] = figures
    return found


def one_round(o, i, good, settings, failed):
    """Each peer and the one of ours that it is compared with, one after the other."""
    found = {}
    by_name = {s.name: s for s in good}
    pairs = [(s, by_name.get(s.ours)) for s in good if s.ours]
    pairs += [(s, None) for s in good if not s.ours and not any(ours is s for _, ours in pairs)]
    for system, ours in pairs:
        say(f" {system.name}", end="")
        both = [(system, (system.name,))] + ([(ours, (system.name, "ours"))] if ours else [])
        for which, name in both if i % 2 else reversed(both):  # who comes first changes
            try:
                found.update(((*name, m), f) for m, f in take(o, which, settings).items())
            except (place.Failed, OSError, ValueError) as e:
                failed.append((which.name, str(e)))
                say(f" FAILED: {which.name}: {e}", end="")
    return found


def compare(o, there, skipped, failed):
    settings, tried, good = {}, {}, []
    for system in there:
        say(f"{'' if o.no_tune else 'trying settings: '}{system.name}")
        try:
            best, every = tune(o, system)
        except (place.Failed, OSError, ValueError) as e:
            failed.append((system.name, str(e)))
            say(f"FAILED: {e}")
            continue
        good.append(system)
        settings.update(((system.name, m), b) for m, b in best.items())
        tried.update(((system.name, m), t) for m, t in every.items())
    rounds = []
    for i in range(o.rounds):
        say(f"round {i + 1} of {o.rounds}:", end="")
        rounds.append(one_round(o, i, good, settings, failed))
        say("")
    lines = list(report.results(rounds, there, settings, tried))
    return lines, report.table(lines, there, o.steady)


def weak_one(o, system, setting, us, workers):
    """Seconds from the first task given to the last result."""
    variant, each = setting
    tasks = workers * o.tasks_per_worker
    in_flight = each * workers if each else tasks
    with place.Place() as at:
        command, env = system.start(at, variant, workers)
        out = at.ask([*command, "--sleep", str(us), "--tasks", str(tasks), "--in-flight", str(in_flight)], env)
        return json.loads(out.splitlines()[-1])["seconds"]


def weak_tune(o, system):
    """The settings that are best where they matter most: the shortest tasks on most workers."""
    every = [(variant, each) for variant in system.variants for each in system.weak]
    if o.no_tune or len(every) == 1:
        return every[0]
    say(f"trying settings: {system.name}")
    us, workers = round(min(o.sleep) * 1e6), max(o.workers)
    took = [[weak_one(o, system, setting, us, workers) for setting in every] for _ in range(3)]
    return min(zip(map(statistics.median, zip(*took)), every), key=lambda t: t[0])[1]


def weak(o, there, failed):
    points = [(round(s * 1e6), w) for s in o.sleep for w in o.workers]
    rounds, settings = [], {}
    for system in there:
        try:
            settings[system.name] = weak_tune(o, system)
        except (place.Failed, OSError, ValueError) as e:
            failed.append((system.name, str(e)))
            say(f"FAILED: {system.name}: {e}")
    there = [s for s in there if s.name in settings]
    for i in range(o.rounds):
        say(f"round {i + 1} of {o.rounds}:", end="")
        found = {}
        for k, (us, workers) in enumerate(points):
            say(f" {us / 1000:g}ms*{workers}", end="")
            turn = (i + k) % len(there)  # who comes first changes
            for system in there[turn:] + there[:turn]:
                try:
                    found[system.name, us, workers] = weak_one(o, system, settings[system.name], us, workers)
                except (place.Failed, OSError, ValueError) as e:
                    failed.append((system.name, str(e)))
                    say(f" FAILED: {system.name}: {e}", end="")
        rounds.append(found)
        say("")
    names = [s.name for s in there]
    pairs = [(a, b) for a in ("local", "push") for b in ("gearmand", "pool") if a in names and b in names]
    lines = list(report.weak_results(rounds, pairs, points, settings))
    return lines, report.weak_table(lines)


def machine(o):
    """What the figures were measured on."""
    try:
        with open(o.build / "meson-info" / "intro-buildoptions.json", encoding="utf-8") as f:
            kind = next(b["value"] for b in json.load(f) if b["name"] == "buildtype")
    except (OSError, StopIteration, ValueError):
        kind = "?"
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            cpu = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), "?")
    except OSError:
        cpu = "?"
    if kind != "release" and not o.smoke:
        say(f"Mind: {o.build} is no release build but {kind!r}.")
    return {"bench": "peers-machine", "cpu": cpu, "cores": len(os.sched_getaffinity(0)),
            "system": platform.platform(), "build": kind, "seconds": o.seconds, "load": os.getloadavg()[0]}


def end(number, _):
    raise SystemExit(128 + number)


def main():
    o = parse_arguments()
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
    place.adopt()
    if o.one_core:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    head = machine(o)
    there, skipped = chosen(o)
    failed = []
    lines, table = weak(o, there, failed) if o.weak else compare(o, there, skipped, failed)
    for line in [head, *lines]:
        print(json.dumps(line))
    for name, why in skipped:
        print(json.dumps({"bench": "peers", "system": name, "skipped": why}))
        table += f"\nSkipped: {name}: {why}\n"
    for name, why in failed:
        print(json.dumps({"bench": "peers", "system": name, "failed": why}))
        table += f"\nFailed: {name}: {why}\n"
    sys.stdout.flush()
    say("\n" + table)
    if o.markdown:
        o.markdown.write_text(table, encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
