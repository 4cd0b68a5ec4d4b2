"""report.py - medians, ratios and bounds, and the table that shows them

A ratio is always made inside a round, of two figures that were measured one after the other, and the
median of these ratios is what counts: so a machine that changes its speed changes it for both.  Above
1 means that libfaas is faster.
"""
import math
import statistics

# Student's t for two-sided 95 %, by degrees of freedom from 1 on; the last is used beyond (cautious).
T95 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
       2.131, 2.120, 2.110, 2.101, 2.093, 2.086]
FIGURE = {"one": "p50_us", "steady": "tasks_per_s", "many": "tasks_per_s"}


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def lower_bound(values):
    """The lower end of the 95 % interval of the geometric mean; None: one value tells nothing."""
    if len(values) < 2:
        return None
    logs = [math.log(v) for v in values]
    t = T95[min(len(logs) - 1, len(T95)) - 1]
    return math.exp(statistics.fmean(logs) - t * statistics.stdev(logs) / math.sqrt(len(logs)))


def short(value, digits=3):
    """Three digits that mean something, thousands with commas."""
    if value is None:
        return ""
    if value >= 1000:
        return f"{round(value, digits - len(str(int(value)))):,.0f}"
    return f"{value:.{digits}g}" if value < 100 else f"{value:.0f}"


def ratios(rounds, system, what):
    """Of each round in which both figures are there."""
    figure = FIGURE[what]
    for r in rounds:
        theirs, ours = r.get((system.name, what)), r.get((system.name, "ours", what))
        if theirs and ours:
            quotient = ours[figure] / theirs[figure]
            yield 1 / quotient if what == "one" else quotient


def figures(rounds, systems, system, what):
    """All of a system; one of ours is measured beside each of its peers."""
    names = [(system.name, what)] + [(s.name, "ours", what) for s in systems if s.ours == system.name]
    return [r[name] for r in rounds for name in names if name in r]


def results(rounds, systems, settings, tried):
    """One dictionary a system and measure, with all that was found."""
    for s in systems:
        for what, figure in FIGURE.items():
            found = figures(rounds, systems, s, what)
            if not found:
                continue
            variant, in_flight = settings[s.name, what]
            line = {"bench": "peers", "system": s.name, "measure": what, "version": s.version(),
                    "settings": variant, "in_flight": in_flight, "rounds": len(rounds)}
            names = ["p50_us", "mean_us", "p99_us"] if what == "one" else [figure]
            line.update((n, round(statistics.median(f[n] for f in found), 2)) for n in names)
            line["values"] = [f[figure] for f in found]
            every = list(ratios(rounds, s, what))
            if every:
                line.update(ours=s.ours, ratio=round(statistics.median(every), 3),
                            ratios=[round(q, 3) for q in every], wanted=s.wanted.get(what))
            line["tried"] = tried.get((s.name, what), [])
            yield line


def settings_text(line):
    parts = [f"{k} {v}" for k, v in line["settings"].items()]
    return ", ".join([*parts, f"{line['in_flight']:,}"])


def factor(line):
    if not line or "ratio" not in line:
        return ""
    wanted = f" ({line['wanted']})" if line["wanted"] else ""
    return short(line["ratio"]) + " x" + wanted


def table(lines, systems, steady):
    """The results as Markdown."""
    by = {(line["system"], line["measure"]): line for line in lines}
    rows = [f"| system | compared with | one: p50 µs | mean µs | p99 µs | ours | {steady} in flight: tasks/s | "
            "ours | many: tasks/s | ours (wanted) | many with |",
            "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|"]
    for s in systems:
        one, mid, many = (by.get((s.name, what)) for what in FIGURE)
        if not (one or mid or many):
            continue
        times = [short(one[n]) if one else "" for n in ("p50_us", "mean_us", "p99_us")]
        rows.append("| " + " | ".join([
            s.title(), s.ours or "", *times, factor(one), short(mid["tasks_per_s"]) if mid else "", factor(mid),
            short(many["tasks_per_s"]) if many else "", factor(many), settings_text(many) if many else ""]) + " |")
    return "\n".join(rows) + "\n"


def weak_results(rounds, pairs, points, settings):
    """For each pair (ours, theirs): the median ratio at each point, and the mean over all with its bound."""
    for ours, theirs in pairs:
        line = {"bench": "peers-weak", "ours": ours, "system": theirs, "rounds": len(rounds),
                "settings": {name: {**settings[name][0], "in_flight_each": settings[name][1]} for name in (ours, theirs)},
                "points": []}
        means = []
        for r in rounds:
            both = [r[theirs, *p] / r[ours, *p] for p in points if (theirs, *p) in r and (ours, *p) in r]
            if len(both) == len(points):
                means.append(geometric_mean(both))
        for p in points:
            both = [(r[ours, *p], r[theirs, *p]) for r in rounds if (theirs, *p) in r and (ours, *p) in r]
            if both:
                line["points"].append({
                    "sleep_us": p[0], "workers": p[1],
                    "ours_s": round(statistics.median(b[0] for b in both), 4),
                    "theirs_s": round(statistics.median(b[1] for b in both), 4),
                    "ratio": round(statistics.median(b[1] / b[0] for b in both), 3)})
        if means:  # a round with a hole has none
            bound = lower_bound(means)
            line.update(geometric_mean=round(geometric_mean(means), 3),
                        lower_95=round(bound, 3) if bound else None,
                        least=min(p["ratio"] for p in line["points"]))
            yield line


def weak_table(lines):
    """A row for each point; the ratios of all pairs beside each other."""
    if not lines:
        return ""
    heads = [f"{line['ours']} to {line['system']}" for line in lines]
    rows = ["| task | workers | " + " | ".join(heads) + " |", "|---|---:|" + "---:|" * len(heads)]
    by = [{(p["sleep_us"], p["workers"]): p for p in line["points"]} for line in lines]
    for us, workers in sorted(set().union(*by)):
        cells = [f"{p['ours_s']:.3f} s to {p['theirs_s']:.3f} s: {p['ratio']:.3f}" if p else ""
                 for p in (points.get((us, workers)) for points in by)]
        rows.append(f"| sleep {us / 1000:g} ms | {workers} | " + " | ".join(cells) + " |")
    def cell(value):
        return "" if value is None else f"{value:.3f}"

    for title, name in (("geometric mean", "geometric_mean"), ("its lower 95 % bound", "lower_95"),
                        ("the least point", "least")):
        rows.append(f"| {title} | | " + " | ".join(cell(line.get(name)) for line in lines) + " |")
    return "\n".join(rows) + "\n"
