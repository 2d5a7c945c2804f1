vcl 4.1;

# Varnish in front of two edges. Tried with 7.1. It ends no TLS: hitch, or nginx, does before it.

import directors;

# An edge says 503 here for 2 s before it stops listening: a check must be faster than that.
probe readyz {
	.url = "/readyz";
	.interval = 1s;
	.timeout = 1s;
	.window = 1;
	.threshold = 1;
	.initial = 1;
}

backend edge_1 {
	.host = "10.0.0.11";
	.port = "8080";
	.connect_timeout = 2s;
	# /api/events sends something every 15 s.
	.between_bytes_timeout = 1h;
	.probe = readyz;
}

backend edge_2 {
	.host = "10.0.0.12";
	.port = "8080";
	.connect_timeout = 2s;
	.between_bytes_timeout = 1h;
	.probe = readyz;
}

sub vcl_init {
	new edges = directors.round_robin();
	edges.add_backend(edge_1);
	edges.add_backend(edge_2);
}

# A proxy that ends TLS for Varnish and says in X-Forwarded-For who the viewer is.
acl tls_proxies {
	"127.0.0.1";
	"::1";
}

sub vcl_recv {
	set req.backend_hint = edges.backend();
	# What a client invents is not passed on.
	if (!client.ip ~ tls_proxies) {
		set req.http.X-Forwarded-For = client.ip;
	}
	if (req.method != "GET" && req.method != "HEAD") {
		return (pass);
	}
	# Each viewer's own: events, and whatever a cookie opens.
	if (req.url ~ "^(/pitwall)?/api/events" || req.http.Cookie || req.http.Authorization) {
		return (pass);
	}
	# Several ranges: Varnish would answer 416, and an edge answers with the whole.
	if (req.http.Range ~ ",") {
		unset req.http.Range;
	}
	return (hash);
}

sub vcl_backend_response {
	# Playlists and documents: an edge is asked each time, for all viewers at once.
	if (beresp.http.Cache-Control ~ "no-cache|no-store|private") {
		set beresp.uncacheable = true;
		set beresp.ttl = 120s;
		return (deliver);
	}
	# No error is kept for anybody.
	if (beresp.status >= 500) {
		if (bereq.retries < 2 && bereq.method != "POST") {
			set bereq.backend = edges.backend();
			return (retry);
		}
		set beresp.uncacheable = true;
		set beresp.ttl = 0s;
	}
	# What is fetched is passed on as it comes, also to those who wait for it.
	set beresp.do_stream = true;
	set beresp.grace = 0s;
}

# An edge that has just died refuses connections, or breaks off before its answer.
sub vcl_backend_error {
	if (bereq.retries < 3 && bereq.method != "POST") {
		set bereq.backend = edges.backend();
		return (retry);
	}
}
