"""Draws the dashboards into docs/pictures: the same queries as Grafana's, from a minute of the demo's sources.

Standard library only: one small SVG for each dashboard, light and dark by the reader's setting.
"""

import html
import json
import math
import re
import tempfile
import time
from pathlib import Path

from observe import DASHBOARDS, ROOT, SCRAPE_SECONDS, Site, play, switch_source

SECONDS = 60
VIEWERS = 6
COLUMN, ROW, GAP = 30, 24, 8
COLORS = ("#3b82d0", "#d9822b", "#2f9e5f", "#c2409a", "#7a5fd0", "#0f9aa8", "#b8860b", "#d04545")
STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#333}.t{font-weight:600}.v{font-size:22px}.s{fill:#777;font-size:10px}"
    ".p{fill:#fff;stroke:#ddd}.g{stroke:#e6e6e6}.l{fill:none;stroke-width:1.4}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.s{fill:#999}.p{fill:#1b1d21;stroke:#333}.g{stroke:#333}}"
)
UNITS = {"s": "s", "ms": "ms", "Bps": "B/s", "bytes": "B", "reqps": "/s", "ops": "/s"}


def readable(value, unit):
    if unit == "percentunit":
        return f"{100 * value:.1f} %"
    if unit == "s" and 0 < abs(value) < 1:
        return f"{1000 * value:.3g} ms"
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor and unit not in ("s", "ms"):
            return f"{value / factor:.3g} {prefix}{UNITS.get(unit, '')}".strip()
    return f"{value:.3g} {UNITS.get(unit, '')}".strip()


def name_of(labels, legend):
    return re.sub(r"\{\{(\w+)\}\}", lambda label: labels.get(label[1], ""), legend).strip() or "value"


def named(name, aliases):
    return re.sub(r"127\.0\.0\.1:\d+", lambda address: aliases.get(address[0], address[0]), name)


def draw_panel(panel, series, aliases):
    position, unit = panel["gridPos"], panel["fieldConfig"]["defaults"]["unit"]
    x, y = position["x"] * COLUMN, position["y"] * ROW
    width, height = position["w"] * COLUMN - GAP, position["h"] * ROW - GAP
    parts = [f'<g transform="translate({x},{y})"><rect class="p" width="{width}" height="{height}" rx="4"/>',
             f'<text class="t" x="8" y="16">{html.escape(panel["title"])}</text>']
    if panel["type"] == "stat":
        last = series[0][1][-1][1] if series else math.nan
        text = series[0][0] if panel["title"] == "Version" and series else readable(last, unit)
        size = ' style="font-size:13px"' if panel["title"] == "Version" else ""
        parts.append(f'<text class="v" x="8" y="50"{size}>{html.escape(text)}</text></g>')
        return "".join(parts)
    left, right, top, bottom = 62, width - 10, 26, height - 40
    numbers = [value for _, values in series for _, value in values]
    low, high = min([0, *numbers]), max([0, *numbers])
    stacked = panel["fieldConfig"]["defaults"].get("custom", {}).get("stacking", {}).get("mode") == "normal"
    if stacked:
        sums = {}
        for _, values in series:
            for at, value in values:
                sums[round(at)] = sums.get(round(at), 0) + value
        high = max([0, *sums.values()])
    high = high or 1
    end = max((values[-1][0] for _, values in series), default=0)
    begin = end - SECONDS
    to_x = lambda at: left + (right - left) * min(max((at - begin) / SECONDS, 0), 1)
    to_y = lambda value: bottom - (bottom - top) * (value - low) / (high - low or 1)
    for share in (0, 0.5, 1):
        value = low + share * (high - low)
        parts.append(f'<path class="g" d="M{left} {to_y(value):.0f}H{right}"/>'
                     f'<text class="s" x="{left - 5}" y="{to_y(value) + 3:.0f}" text-anchor="end">{html.escape(readable(value, unit))}</text>')
    base, legend_x, legend_y = {}, 8, height - 18
    for number, (name, values) in enumerate(series):
        color = COLORS[number % len(COLORS)]
        points = []
        for at, value in values:
            if stacked:
                value = base[round(at)] = base.get(round(at), 0) + value
            points.append(f"{to_x(at):.0f} {to_y(value):.1f}")
        parts.append(f'<path class="l" stroke="{color}" d="M{"L".join(points)}"/>')
        name = named(name, aliases)
        if legend_x + 7 * len(name) > width and legend_y < height - 8:
            legend_x, legend_y = 8, height - 6
        if legend_x + 6 * len(name) < width:
            parts.append(f'<rect x="{legend_x}" y="{legend_y - 7}" width="7" height="7" fill="{color}"/>'
                         f'<text class="s" x="{legend_x + 10}" y="{legend_y}">{html.escape(name)}</text>')
        legend_x += 20 + round(5.6 * len(name))
    return "".join(parts) + "</g>"


def draw_dashboard(site, dashboard, aliases):
    panels, height = [], 0
    for panel in dashboard["panels"]:
        series = []
        for target in panel["targets"]:
            expression = target["expr"].replace("$job", ".*").replace("$instance", ".*")
            expression = expression.replace("$__rate_interval", f"{8 * SCRAPE_SECONDS}s")
            found = site.query(expression, SECONDS)
            series += [(name_of(labels, target["legendFormat"]), values[::2]) for labels, values in found]
        panels.append(draw_panel(panel, series, aliases))
        height = max(height, panel["gridPos"]["y"] + panel["gridPos"]["h"])
    size = f'width="{24 * COLUMN}" height="{height * ROW}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {24 * COLUMN} {height * ROW}"><style>{STYLE}</style>{"".join(panels)}</svg>\n'


def main():
    with tempfile.TemporaryDirectory(prefix="pitwall-pictures-") as folder:
        site, players = Site(folder), None
        try:
            players = play(site, VIEWERS)
            time.sleep(SECONDS / 2)
            switch_source(site)
            time.sleep(SECONDS / 2)
            aliases = {f"127.0.0.1:{site.edge_admin}": "edge", f"127.0.0.1:{site.control_admin}": "control plane"}
            for path in DASHBOARDS:
                picture = draw_dashboard(site, json.loads(path.read_text()), aliases)
                target = ROOT / "docs/pictures" / path.name.replace("pitwall-", "dashboard-").replace(".json", ".svg")
                target.write_text(picture)
                print(f"{target.relative_to(ROOT)}: {len(picture)} bytes")
        finally:
            if players:
                players.stop()
            site.stop()


if __name__ == "__main__":
    main()
