"""Breaks a source and mends it: Debian's Prometheus and Alertmanager, with the rules and configurations of
stacks/prometheus, tell a webhook of both. The alert has to come within five minutes."""

import http.server
import tempfile
import threading
import time
from pathlib import Path

from observe import ROOT, Receiver, Site, free_port, get, until

ALERT = "ExtractorFailing"
FIRES_WITHIN = 5 * 60
RESOLVED_WITHIN = 5 * 60
RULES = ROOT / "stacks/prometheus/pitwall.rules.yml"


class Page:
    """A site's page with the link of a stream, which a recipe reads; until the page changes."""

    def __init__(self, playlist):
        page = self
        page.link = f'<a id="stream" href="{playlist}">live</a>'
        page.html = page.link

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = page.html.encode()
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def recipe(page, origin):
    return (
        '[schedule]\nproviders = []\n[[source]]\nname = "club"\nkind = "recipe"\nfeed = "World feed"\nevery = "15s"\n'
        f'allow_private = ["127.0.0.0/8"]\nports = [{origin}]\n'
        f'[[source.step]]\nget = "http://127.0.0.1:{page.port}/"\n'
        '[[source.step]]\nselect = "a#stream"\nattribute = "href"\nsave = "playlist"\n'
        '[source.result]\nplaylist = "{{playlist}}"\n'
    )


def replaced(path, *pairs):
    text = path.read_text()
    for old, new in pairs:
        if old not in text:
            raise SystemExit(f"{path}: does not say {old}")
        text = text.replace(old, new)
    return text


def alerts_of(receiver, status):
    """The alerts of this status that the receiver was told, with when."""
    return [
        (at, alert)
        for at, message in list(receiver.posts)
        for alert in message["alerts"]
        if alert["status"] == status and alert["labels"]["alertname"] == ALERT
    ]


def main():
    with tempfile.TemporaryDirectory(prefix="pitwall-alerts-") as folder:
        site, pager, alertmanager = Site(folder), Receiver(), free_port()
        page = Page(f"http://127.0.0.1:{site.origin}/open/world-feed/master.m3u8")
        try:
            site.write_config(recipe(page, site.origin))
            site.start()
            targets = f'"127.0.0.1:{site.edge_admin}", "127.0.0.1:{site.control_admin}"'
            site.start_prometheus(replaced(
                ROOT / "stacks/prometheus/prometheus.yml",
                ('"127.0.0.1:9180"', targets), ("pitwall.rules.yml", str(RULES)), ("127.0.0.1:9093", f"127.0.0.1:{alertmanager}"),
            ))
            config = Path(folder, "alertmanager.yml")
            config.write_text(replaced(ROOT / "stacks/prometheus/alertmanager.yml", ("http://127.0.0.1:9099/", pager.url)))
            site.spawn(
                "alertmanager", "prometheus-alertmanager", f"--config.file={config}", f"--storage.path={folder}/alertmanager",
                f"--web.listen-address=127.0.0.1:{alertmanager}", "--cluster.listen-address=",
            )
            until("Alertmanager is ready", lambda: get(f"http://127.0.0.1:{alertmanager}/-/ready"))
            until("Prometheus is ready", lambda: get(f"http://127.0.0.1:{site.prometheus}/-/ready"))
            until("the source plays", lambda: 'pitwall_stream_up{stream="world-feed"} 1' in site.scrape(site.control_admin))

            broken_at = time.time()
            page.html = "<p>We have moved.</p>"
            until("the alert", lambda: alerts_of(pager, "firing"), FIRES_WITHIN)
            at, alert = alerts_of(pager, "firing")[0]
            print(f"{ALERT} after {at - broken_at:.0f} s: {alert['annotations']['summary']} ({alert['annotations']['runbook_url']})", flush=True)
            if alert["labels"]["source"] != "club" or not alert["annotations"]["runbook_url"].endswith("#extractorfailing"):
                raise SystemExit(f"another alert than expected: {alert}")

            mended_at = time.time()
            page.html = page.link
            until("the end of the alert", lambda: alerts_of(pager, "resolved"), RESOLVED_WITHIN)
            print(f"resolved {alerts_of(pager, 'resolved')[0][0] - mended_at:.0f} s after the page is back", flush=True)
            others = {it["labels"]["alertname"] for _, message in pager.posts for it in message["alerts"]} - {ALERT}
            if others:
                raise SystemExit(f"alerts of what was not broken: {others}")
        except BaseException:
            print(site.tails())
            raise
        finally:
            site.stop()


if __name__ == "__main__":
    main()
