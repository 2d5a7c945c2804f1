"""Checks docs/metrics.md and the dashboards against a control plane and an edge that play the demo's sources.

- Every metric of /metrics is in the tables, with its type and labels, and the other way round.
- Thousands of odd requests make no series.
- Every query of every dashboard finds something in a Prometheus that scrapes both processes.
"""

import http.client
import http.server
import json
import math
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PITWALL = os.path.abspath(os.environ.get("PITWALL", ROOT / "target/debug/pitwall"))
DASHBOARDS = sorted((ROOT / "stacks/grafana/dashboards").glob("*.json"))
TOKEN = "0123456789abcdef0123456789abcdef"
ODD_REQUESTS = 10_000
SCRAPE_SECONDS = 1


def free_port():
    return int(subprocess.run([ROOT / ".ci/free-port"], check=True, capture_output=True, text=True).stdout)


def get(url, method="GET", body=None, headers=None):
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.read().decode()


def until(what, probe, seconds=40):
    """The first true value that `probe` gives. Errors of the network are no value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if value := probe():
                return value
        except (OSError, http.client.HTTPException, KeyError, IndexError):
            pass
        time.sleep(0.1)
    raise SystemExit(f"{what}: not in {seconds} s")


class Receiver:
    """A webhook's receiver: what was posted."""

    def __init__(self):
        self.posts = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.posts.append((time.time(), json.loads(body)))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Site:
    """Redis, the demo's origin, a control plane and an edge with the demo's sources, and a Prometheus."""

    def __init__(self, folder):
        self.folder, self.processes = Path(folder), []
        self.redis, self.origin, self.control = free_port(), free_port(), free_port()
        self.edge, self.edge_admin, self.control_admin, self.prometheus = (free_port() for _ in range(4))
        self.receiver = Receiver()
        (self.folder / "seal.key").write_text("k" * 40)
        (self.folder / "token").write_text(TOKEN)

    def write_config(self, sources):
        (self.folder / "pitwall.toml").write_text(
            f'[edge]\nlisten = "127.0.0.1:{self.edge}"\nadmin = "127.0.0.1:{self.edge_admin}"\n'
            f'control = "127.0.0.1:{self.control}"\n'
            f'[control]\nlisten = "127.0.0.1:{self.control}"\nadmin = "127.0.0.1:{self.control_admin}"\n'
            f'[store]\nkind = "redis"\nurl = "redis://127.0.0.1:{self.redis}"\n'
            f'[access]\nseal_key_file = "seal.key"\nadmin_token_file = "token"\n'
            f'[[webhook]]\nname = "pager"\nurl = "{self.receiver.url}"\nallow_private = ["127.0.0.0/8"]\n{sources}'
        )

    def demo_sources(self):
        return (ROOT / "conf/demo.toml").read_text().replace("127.0.0.1:9000", f"127.0.0.1:{self.origin}")

    def spawn(self, name, *arguments, **environment):
        log = open(self.folder / f"{name}.log", "ab")
        process = subprocess.Popen(arguments, stdout=log, stderr=log, cwd=self.folder, env={**os.environ, **environment})
        self.processes.append(process)
        return process

    def start(self):
        self.spawn("redis", "redis-server", "--port", str(self.redis), "--bind", "127.0.0.1", "--save", "")
        self.spawn("origin", PITWALL, "origin", "--listen", f"127.0.0.1:{self.origin}")
        for name, command in (("control", "control-plane"), ("edge", "proxy")):
            self.spawn(name, PITWALL, command, "--config", "pitwall.toml", PITWALL_STATE__DIR=str(self.folder / f"state-{name}"))

    def start_prometheus(self, config):
        path = self.folder / "prometheus.yml"
        path.write_text(config)
        self.spawn(
            "prometheus", "prometheus", f"--config.file={path}", f"--storage.tsdb.path={self.folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self.prometheus}", "--log.level=warn",
        )

    def scrape(self, port):
        return get(f"http://127.0.0.1:{port}/metrics")

    def query(self, expression, seconds):
        """The series of a query over the last `seconds`, each with the values that are numbers."""
        now = time.time()
        parameters = urllib.parse.urlencode({"query": expression, "start": now - seconds, "end": now, "step": 1})
        answer = json.loads(get(f"http://127.0.0.1:{self.prometheus}/api/v1/query_range?{parameters}"))
        series = ((it["metric"], [(at, float(value)) for at, value in it["values"]]) for it in answer["data"]["result"])
        numbers = ((labels, [it for it in values if math.isfinite(it[1])]) for labels, values in series)
        return [(labels, values) for labels, values in numbers if values]

    def stop(self):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def tails(self):
        return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-800:]}" for log in sorted(self.folder.glob("*.log")))


class Viewers:
    """Players that poll and read like hls.js, and report in CMCD fields; every fifth report is of a stall."""

    def __init__(self, site, count=3):
        self.site, self.stopping = site, threading.Event()
        self.threads = [threading.Thread(target=self.watch, args=(number,)) for number in range(count)]
        for thread in self.threads:
            thread.start()

    def watch(self, number):
        stream = ("world-feed", "pit-lane", "onboard-7")[number % 3]
        connection = http.client.HTTPConnection("127.0.0.1", self.site.edge, timeout=10)
        fields = {"User-Agent": f"viewer {number}", "CMCD-Session": f'sid="{number}"'}
        count, newest = 0, ""

        def read(path):
            connection.request("GET", path, headers=fields)
            return connection.getresponse().read().decode("latin-1")

        while not self.stopping.wait(0.4):
            try:
                links = [line for line in read(f"/live/{stream}/index.m3u8").splitlines() if line and line[0] != "#"]
                links = [line for line in read(f"/live/{stream}/{links[0]}").splitlines() if line and line[0] != "#"]
                if links[-1] != newest:
                    newest, count = links[-1], count + 1
                    fields["CMCD-Status"] = "bs" if count % 5 == 1 else ""
                    read(newest)
            except (OSError, http.client.HTTPException, IndexError):
                connection.close()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def series_of(text):
    """The series of a scrape: name with labels."""
    return {line.rsplit(" ", 1)[0] for line in text.splitlines() if line and line[0] != "#"}


def families_of(text):
    """Types and labels of the metrics of a scrape, by name. A histogram is one metric."""
    types = dict(re.findall(r"(?m)^# TYPE (\S+) (\S+)$", text))
    families = {name: (kind, set()) for name, kind in types.items()}
    for series in series_of(text):
        name, _, labels = series.partition("{")
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        families[name if name in families else base][1].update(set(re.findall(r'(\w+)="', labels)) - {"le"})
    return families


def documented():
    """Type, labels and process of the metrics of docs/metrics.md, by name."""
    rows = {}
    for line in (ROOT / "docs/metrics.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[0].startswith("`"):
            name = cells[0].strip("`")
            if name in rows:
                raise SystemExit(f"docs/metrics.md: {name} has two rows")
            rows[name] = (cells[1], set(re.findall(r"\w+", cells[3])), cells[4])
    return rows


def compare_with_documents(edge, control):
    rows, problems = documented(), []
    for process, families in (("edge", families_of(edge)), ("control plane", families_of(control))):
        expected = {name: row for name, row in rows.items() if row[2] in (process, "on Redis", "every")}
        problems += [f"{process}: {name} is not in docs/metrics.md" for name in families.keys() - expected.keys()]
        problems += [f"docs/metrics.md: {name} is not in /metrics: {process}" for name in expected.keys() - families.keys()]
        for name in families.keys() & expected.keys():
            kind, labels = families[name]
            if (kind, labels) != expected[name][:2]:
                problems.append(f"docs/metrics.md: {name} is a {kind} with {sorted(labels)}: {process}")
    return problems


def odd_requests(port, count):
    """Requests that no player sends: paths, methods, hosts, streams, ids, links."""
    methods = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE", "BREW", "get")
    paths = (
        "/live/stream-{n}/index.m3u8", "/live/world-feed/rendition-{n}.m3u8", "/live/a-{n}/b/c-{n}.ts?u=seal{n}",
        "/api/streams/{n}", "/api/sessions/{n}/x", "/proxy/source-{n}?url=aHR0cDovL2V4YW1wbGUuY29tLw", "/relay/{n}.ts?u={n}",
        "/%7B{n}%7D", "/metrics?{n}", "/api/extractors/source-{n}/run", "/page-{n}/../{n}", "/live/world-feed/index.m3u8?rendition={n}",
    )
    sent = 0

    def send(first, last):
        nonlocal sent
        connection = None
        for n in range(first, last):
            method, path = methods[n % len(methods)], paths[n % len(paths)].format(n=n)
            # Without Content-Length a body has no end for these methods.
            text = f"{method} {path} HTTP/1.1\r\nHost: host-{n}\r\nX-Request-Id: id-{n}\r\nUser-Agent: agent-{n}\r\nContent-Length: 0\r\n\r\n"
            for _ in range(2):
                try:
                    connection = connection or socket.create_connection(("127.0.0.1", port), 10)
                    connection.sendall(text.encode())
                    if read_response(connection, method == "HEAD"):
                        break
                except OSError:
                    pass
                connection = connection and connection.close()
            sent += 1

    share = count // 4
    threads = [threading.Thread(target=send, args=(part * share, (part + 1) * share)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sent


def read_response(connection, is_head):
    """Reads a response; whether the connection can have another one."""
    text = b""
    while b"\r\n\r\n" not in text:
        chunk = connection.recv(1 << 16)
        if not chunk:
            return False
        text += chunk
    head, body = text.split(b"\r\n\r\n", 1)
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    missing = 0 if is_head or not length else int(length[1]) - len(body)
    while missing > 0:
        chunk = connection.recv(1 << 16)
        if not chunk:
            return False
        missing -= len(chunk)
    return b"connection: close" not in head.lower()


def queries():
    """The queries of all dashboards, as Grafana sends them when all jobs and instances are chosen."""
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                expression = target["expr"].replace("$job", ".*").replace("$instance", ".*")
                yield path.name, panel["title"], expression


def scrape_config(site, interval):
    targets = f'["127.0.0.1:{site.edge_admin}", "127.0.0.1:{site.control_admin}"]'
    return (
        f"global: {{ scrape_interval: {interval}, evaluation_interval: {interval} }}\n"
        f"scrape_configs: [{{ job_name: pitwall, static_configs: [{{ targets: {targets} }}] }}]\n"
    )


def play(site, viewers=3):
    """Starts everything, with viewers."""
    site.write_config(site.demo_sources())
    site.start()
    site.start_prometheus(scrape_config(site, f"{SCRAPE_SECONDS}s"))
    stream = f"http://127.0.0.1:{site.edge}/api/streams/world-feed"
    until("both sources play", lambda: len([it for it in json.loads(get(stream))["sources"] if it["health"] == "healthy"]) == 2)
    players = Viewers(site, viewers)
    until("somebody watches", lambda: f"\npitwall_viewers {viewers}\n" in site.scrape(site.edge_admin))
    return players


def switch_source(site):
    """Moves the viewers of a stream to its other source."""
    url = f"http://127.0.0.1:{site.edge}/api/streams/world-feed/switch"
    get(url, "POST", b"{}", {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
    switched = re.compile(r'(?m)^pitwall_source_switches_total\{reason="map"\} [1-9]')
    until("the edge has switched", lambda: switched.search(site.scrape(site.edge_admin)))


def main():
    started = time.monotonic()
    problems = []
    with tempfile.TemporaryDirectory(prefix="pitwall-observe-") as folder:
        site = Site(folder)
        players = None
        try:
            players = play(site)
            switch_source(site)
            # What players report is passed on every five seconds.
            until("a report has come", lambda: 'reports_total{stream="world-feed"} 0' not in site.scrape(site.control_admin))
            until("a token is known", lambda: "pitwall_token_remaining_seconds{" in site.scrape(site.control_admin))
            until("a webhook is called", lambda: "pitwall_webhook_alerts_total{" in site.scrape(site.control_admin))
            problems += compare_with_documents(site.scrape(site.edge_admin), site.scrape(site.control_admin))

            before = series_of(site.scrape(site.edge_admin)), series_of(site.scrape(site.control_admin))
            sent = odd_requests(site.edge, ODD_REQUESTS)
            after = series_of(site.scrape(site.edge_admin)), series_of(site.scrape(site.control_admin))
            new = {it for old, now in zip(before, after) for it in now - old if not re.match(r"pitwall_(upstream_|extractor_|checks|refreshes)", it)}
            problems += [f"a request made a series: {it}" for it in sorted(new)[:10]]

            asked = list(queries())
            expressions = {it[2].replace("$__rate_interval", f"{4 * SCRAPE_SECONDS}s") for it in asked}
            missing = until_answered(site, expressions)
            problems += [f"{file}: {title}: nothing: {expression}" for file, title, expression in asked
                         if expression.replace("$__rate_interval", f"{4 * SCRAPE_SECONDS}s") in missing]
        except BaseException:
            print(site.tails())
            raise
        finally:
            if players:
                players.stop()
            site.stop()
    if problems:
        raise SystemExit("\n".join(problems))
    rows = len(documented())
    print(f"{rows} metrics are as documented; {sent} odd requests made no series; {len(asked)} queries of {len(DASHBOARDS)} "
          f"dashboards find something ({time.monotonic() - started:.1f} s)")


def until_answered(site, expressions, seconds=12):
    """The queries that have no answer after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        expressions = {it for it in expressions if not site.query(it, 30)}
        if not expressions or time.monotonic() > deadline:
            return expressions
        time.sleep(0.5)


if __name__ == "__main__":
    main()
