"""Values of each annotation: what they mean, and what they may not be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gen.dialects.target import Target
from gen.policy import Directive, Variable

Samples = tuple[Mapping[str, object], Sequence[str]]
BOOLEANS: Samples = (
    {"true": True, "1": True, "t": True, "T": True, "TRUE": True, "True": True, "false": False, "0": False, "F": False},
    ("yes", "on", "tRue", "2", "true;", "true\n"),
)
SWITCHES: Samples = ({"on": True, "off": False, "ON": True}, ("true", "1", "on;"))
NUMBERS = ("-1", "1e3", "ten", "0x10", "1.5", "9" * 40, "1;", "1 1", "¹")
NETWORKS: Samples = (
    {
        "10.0.0.0/8": ("10.0.0.0/8",),
        "10.1.2.3": ("10.1.2.3/32",),
        "10.1.2.3/8 , ::1 ,10.0.0.0/8": ("10.0.0.0/8", "::1/128"),
    },
    (
        "x",
        "10.0.0.0/33",
        "10.0.0.0/8;",
        "fe80::1%eth0",
        "10.0.0.0/8,x",
        "0/0",
        ",".join(f"10.0.{n // 250}.{n % 250}" for n in range(1001)),
    ),
)
SECONDS: Samples = ({"1": 1.0, "60": 60.0}, ("0", "10s", *NUMBERS))
SIZES: Samples = (
    {"0": 0, "8m": 8 * 1024**2, "8M": 8 * 1024**2, "4k": 4096, "1g": 1024**3, "100": 100},
    ("8m;", "-1", "1t", "1b", "m", "1.5m", "8 m"),
)
COUNTS: Samples = ({"1": 1, "1000": 1000}, ("0", *NUMBERS))
NATURALS: Samples = ({"0": 0, "7": 7}, NUMBERS)
REFERENCES: Samples = (
    {"users": "users", "t1/users": "t1/users", "a.b": "a.b"},
    ("a/b/c", "/a", "a/", "A", "../a", "a..b", "a b", "a;"),
)
TARGETS: Samples = (
    {
        "http://a.example": Target(False, "a.example", 80, ("/",)),
        "https://a.example:8443/x?y=$host": Target(True, "a.example", 8443, ("/x?y=", Variable("host"))),
        "http://10.0.0.1/": Target(False, "10.0.0.1", 80, ("/",), True),
        "http://[::1]:81$request_uri": Target(False, "::1", 81, (Variable("request_uri"),), True),
        "http://A.example?q": Target(False, "a.example", 80, ("/?q",)),
    },
    (
        "a.example/x", "file:///etc/passwd", "http://a..b/", "http://a/b;", "http://a/ b", "http://$host/", "http://a:0/",
        "http://a:99999/", "http://user@a/", "http://a/#x", "http://a/}", "http://a/$nothing", "http://a\\b/",
        "gopher://a/", "http://-a/", "http://1.2.3/x\n",
    ),
)  # fmt: skip
COOKIE_NAMES: Samples = ({"route": "route", "a-b_c.d": "a-b_c.d"}, ("a;b", "a b", "a=b", "a\nb", "é", "x" * 300))
RULES: Samples = (
    {
        "more_set_headers 'A: b c';": (Directive("more_set_headers", ("A", "b c")),),
        "# x\nadd_header A b always;\n": (Directive("add_header", ("A", "b", "always")),),
        "if ($host = a) { return 403; }": (Directive("if", ("$host", "=", "a"), (Directive("return", ("403",)),)),),
        "if ( $scheme != '' ) { break; }": (Directive("if", ("$scheme", "!=", ""), (Directive("break"),)),),
        'if ($request_uri ~ "^/a/(.*)$") { return 301 https://b/$1; }': (
            Directive("if", ("$request_uri", "~", "^/a/(.*)$"), (Directive("return", ("301", "https://b/$1")),)),
        ),
        "more_set_input_headers 'A: $req_id' B:;": (
            Directive("proxy_set_header", ("A", "$req_id")), Directive("proxy_set_header", ("B", "")),
        ),
        "proxy_set_header Upgrade $http_upgrade;proxy_set_header Host ${host}x;": (
            Directive("proxy_set_header", ("Host", "${host}x")),
        ),
        'return 200 "a\\nb#c\\" {}";': (Directive("return", ("200", 'a\nb#c" {}')),),
        "return 302 https://a/#b;": (Directive("return", ("302", "https://a/#b")),),
        "set $a_b 'x;{}y'; add_header A $a_b;": (
            Directive("set", ("$a_b", "x;{}y")), Directive("add_header", ("A", "$a_b")),
        ),
        "rewrite ^/(.*)$ /x/$1 break;": (Directive("rewrite", ("^/(.*)$", "/x/$1", "break")),),
    },
    (
        "return 200; }", "lua_x;", "alias /etc;", "include x;", "return 200", "location / {}", "{", "set $a 'b;",
        "root /;", "if ($host) { root /; }", "content_by_lua_block { }", "add_header", "more_set_headers \x00;",
        "access_log /x;", "proxy_pass http://a;", "ssl_engine x;", "return;{", "load_module x.so;", "}", "return 200;;",
        "if (-f /etc/passwd) { return 200; }", "if ($host) return 200;", 'add_header A "b\\r\\nC: d";',
        "add_header A 'b\nC: d';", "add_header A $nothing;", "add_header A $uri;", "return 301 https://a$uri;",
        "set $a $uri; return 302 /$a;", "rewrite ^/(.*) /$1?;", "rewrite ( /a;", "rewrite (a+)+$ /a;", "set $host a;",
        "set $gen_upstream_host a;", "set $http_x a;", "proxy_set_header Transfer-Encoding chunked;",
        "add_header Content-Length 0;", "etag on; etag off;", "client_max_body_size 1t;", "expires soon;", "deny a;",
        "return 200 $;", "return 700;", "more_set_headers '-s 404' 'A: b';", "'return' 200 {", 'return 200 "a"b;',
        "error_page 404 /x;", "auth_basic off;", "auth_request off;", "satisfy any;", "proxy_ignore_headers X;",
        "access_by_lua_file /x;", "js_content x;", "perl x;", "sub_filter a;", "limit_rate $http_x;", "internal;",
        "add_header A b\u00e9;", "\\{", "${", "if ($a) {", "if ($host ~ (?=a)) { break; }",
        "if ($host) { if ($host) { if ($host) { if ($host) { break; } } } }",
    ),
)  # fmt: skip
PAIRS: Samples = (
    {"off": None, "a.example b.example": ("a.example", "b.example"), "/a /b": ("/a", "/b")},
    ("a", "a b c", "a b;", 'a "b"', "~a b", "a $b", "a\u3000b"),
)
LOCATIONS: Samples = (
    {"off": ("off",), "http://a/": ("http://a/",), "$scheme://b": (Variable("scheme"), "://b")},
    ("a b", "a;", 'a"', "$nothing"),
)
CIPHERS: Samples = (
    {"HIGH:!aNULL": "HIGH:!aNULL", "ECDHE+AESGCM": "ECDHE+AESGCM"},
    ("HIGH;", "a b", '"a"', "a\nb"),
)
WORDS: Samples = ({"always-not": "always-not", "~a": "~a"}, ("a b", "a;", '"', "x" * 300))
STATUSES: Samples = ({"301": 301, "308": 308}, ("moved", "3e2", "301;"))
METHODS: Samples = ({"GET": "GET", "POST": "POST"}, ("get", "FETCH", "GET;", "GET\n", "CONNECT"))
PROTOCOLS: Samples = (
    {"TLSv1.2 TLSv1.3": ("TLSv1.2", "TLSv1.3"), "SSLv3 TLSv1": ("TLSv1",), "SSLv2": ("TLSv1.2",)},
    ("TLSv2", "TLSv1.2;", "TLSv1.2,TLSv1.3"),
)
HEADER_LISTS: Samples = ({"DNT,X-A": "DNT,X-A", "*": "*"}, ("a:b", "a;", "a\nb", "é"))

SAMPLES: dict[str, Samples] = {
    "affinity": ({"cookie": "cookie"}, ("header", "cookie;")),
    "affinity-canary-behavior": ({"sticky": "sticky", "legacy": "legacy"}, ("other",)),
    "affinity-mode": ({"balanced": "balanced", "persistent": "persistent"}, ("x",)),
    "allowlist-source-range": NETWORKS,
    "app-root": (
        {"/a": "/a", "/a?b=c": "/a?b=c"},
        ("a", "//a", "http://a/", "/a b", "/../a", "/a/..", "/a;", '/"', "/$host"),
    ),
    "auth-always-set-cookie": BOOLEANS,
    "auth-cache-duration": (
        {"200 202 5m, 401 1m": (((200, 202), 300.0), ((401,), 60.0)), "10s": (((), 10.0),)},
        ("200 x", "5 minutes", "200 5m;"),
    ),
    "auth-cache-key": (
        {"$remote_user$host": (Variable("remote_user"), Variable("host")), "x": ("x",)},
        ("$nothing", "a b", "a;"),
    ),
    "auth-keepalive": NATURALS,
    "auth-keepalive-requests": NATURALS,
    "auth-keepalive-share-vars": BOOLEANS,
    "auth-keepalive-timeout": NATURALS,
    "auth-method": METHODS,
    "auth-proxy-set-headers": REFERENCES,
    "auth-realm": ({"my realm": "my realm", "it's": "it's"}, ('a"b', "a\\b", "a;b", "a\nb", "é")),
    "auth-request-redirect": (
        {"https://a/x": ("https://a/x",), "$request_uri": (Variable("request_uri"),)},
        ("a b", "a;", "$nothing", 'a"'),
    ),
    "auth-response-headers": ({"X-User, X-Group": ("X-User", "X-Group")}, ("a:b", "a b", "a;")),
    "auth-secret": REFERENCES,
    "auth-secret-type": ({"auth-file": "auth-file", "auth-map": "auth-map"}, ("file",)),
    "auth-signin": (
        {"https://a/start": "https://a/start", "http://$host/x?y=z": "http://$host/x?y=z", "/start": "/start"},
        ("//a", "javascript:x", "http://a/ b", "http://a/$nothing", "http://a/;"),
    ),
    "auth-signin-redirect-param": ({"rd": "rd"}, ("a=b", "a&b")),
    "auth-snippet": ({}, ("proxy_set_header A b;",)),
    "auth-tls-error-page": (
        {"https://a/x": "https://a/x", "/x": "/x"},
        ("//a", "@named;", "javascript:x", "http://a/;", "http://a/ b"),
    ),
    "auth-tls-match-cn": (
        {"CN=good": "CN=good", "CN=(a|b c).*": "CN=(a|b c).*"},
        ('CN=a"; #', "CN=(", "CN=x){1}", "a", "CN=(?=x)", "CN=\\1"),
    ),
    "auth-tls-pass-certificate-to-upstream": BOOLEANS,
    "auth-tls-secret": ({"t1/ca": "t1/ca", "ca": ""}, ("t1/../ca", "t1/CA", "a/b/c")),
    "auth-tls-verify-client": ({"on": "on", "off": "off", "optional_no_ca": "optional_no_ca"}, ("true", "on;")),
    "auth-tls-verify-depth": NATURALS,
    "auth-type": ({"basic": "basic", "digest": "digest"}, ("bearer", "basic;")),
    "auth-url": TARGETS,
    "backend-protocol": ({"HTTP": None, "https": "https", "GRPCS": "grpcs", "AUTO_HTTP": "as_client"}, ("AJP", "SPDY")),
    "canary": BOOLEANS,
    "canary-by-cookie": COOKIE_NAMES,
    "canary-by-header": ({"X-Canary": "X-Canary"}, ("a:b", "a b", "é")),
    "canary-by-header-pattern": ({"^a[0-9]+$": "^a[0-9]+$"}, ("(", "(?=a)", "\\1", "a{2000}")),
    "canary-by-header-value": WORDS,
    "canary-weight": NATURALS,
    "canary-weight-total": COUNTS,
    "client-body-buffer-size": SIZES,
    "configuration-snippet": RULES,
    "connection-proxy-header": ({"close": "close", "keep-alive": "keep-alive"}, ("upgrade", "close;")),
    "cors-allow-credentials": BOOLEANS,
    "cors-allow-headers": HEADER_LISTS,
    "cors-allow-methods": ({"GET, POST": "GET, POST", "*": "*"}, ("GET;", "G3T")),
    "cors-allow-origin": (
        {
            "*": (),
            "https://a.example": ("https://a.example",),
            "https://*.a.example:8080, x": ("https://*.a.example:8080",),
            "a.example": None,
            "https://a.example;": None,
            "null": ("null",),
        },
        ("a\nb",),
    ),
    "cors-expose-headers": HEADER_LISTS,
    "cors-max-age": ({"0": 0, "-1": -1, "600": 600}, ("ten", "600;")),
    "custom-headers": REFERENCES,
    "custom-http-errors": ({"404": (404,), "404, 503": (404, 503)}, ("200", "4040", "404;", "x")),
    "default-backend": ({"errors": "errors"}, ("a.b", "a/b", "A", "1a", "a:80")),
    "denylist-source-range": NETWORKS,
    "disable-proxy-intercept-errors": BOOLEANS,
    "enable-access-log": BOOLEANS,
    "enable-cors": BOOLEANS,
    "enable-global-auth": BOOLEANS,
    "enable-modsecurity": BOOLEANS,
    "enable-opentelemetry": BOOLEANS,
    "enable-owasp-core-rules": BOOLEANS,
    "enable-rewrite-log": BOOLEANS,
    "fastcgi-index": ({"index.php": "index.php"}, ("a/b", "a;", "$x")),
    "fastcgi-params-configmap": REFERENCES,
    "force-ssl-redirect": BOOLEANS,
    "from-to-www-redirect": BOOLEANS,
    "http2-push-preload": BOOLEANS,
    "limit-allowlist": NETWORKS,
    "limit-burst-multiplier": COUNTS,
    "limit-connections": NATURALS,
    "limit-rate": NATURALS,
    "limit-rate-after": NATURALS,
    "limit-rpm": NATURALS,
    "limit-rps": NATURALS,
    "load-balance": ({"round_robin": "round_robin", "ewma": "least_connections"}, ("round_robin;", "x")),
    "mirror-host": ({"a.example": "a.example", "a:80": "a:80"}, ("a b", "a;", "$host", "-a")),
    "mirror-request-body": SWITCHES,
    "mirror-target": TARGETS,
    "modsecurity-snippet": ({}, ("SecRuleEngine Off",)),
    "modsecurity-transaction-id": ({"$request_id": (Variable("request_id"),)}, ("$nothing", "a b")),
    "opentelemetry-operation-name": ({"a_b": "a_b"}, ("a b", "a;")),
    "opentelemetry-trust-incoming-span": BOOLEANS,
    "permanent-redirect": ({"https://a/b?c=d": "https://a/b?c=d", "/x": "/x"}, ("https://x/$host", "//a", "https://x\ny")),
    "permanent-redirect-code": STATUSES,
    "preserve-trailing-slash": BOOLEANS,
    "proxy-body-size": SIZES,
    "proxy-buffer-size": SIZES,
    "proxy-buffering": SWITCHES,
    "proxy-buffers-number": COUNTS,
    "proxy-busy-buffers-size": SIZES,
    "proxy-connect-timeout": SECONDS,
    "proxy-cookie-domain": PAIRS,
    "proxy-cookie-path": PAIRS,
    "proxy-http-version": ({"1.0": "1.0", "1.1": "1.1"}, ("2", "1.1;")),
    "proxy-max-temp-file-size": SIZES,
    "proxy-next-upstream": (
        {"error timeout": ("error", "timeout"), "off": (), "error off": (), "http_502": ("http_502",)},
        ("error;", "http_200", "error,timeout"),
    ),
    "proxy-next-upstream-timeout": NATURALS,
    "proxy-next-upstream-tries": NATURALS,
    "proxy-read-timeout": SECONDS,
    "proxy-redirect-from": LOCATIONS,
    "proxy-redirect-to": LOCATIONS,
    "proxy-request-buffering": SWITCHES,
    "proxy-send-timeout": SECONDS,
    "proxy-ssl-ciphers": CIPHERS,
    "proxy-ssl-name": ({"a.example": "a.example"}, ("a b", "a;", "$host", "a:80")),
    "proxy-ssl-protocols": PROTOCOLS,
    "proxy-ssl-secret": REFERENCES,
    "proxy-ssl-server-name": SWITCHES,
    "proxy-ssl-verify": SWITCHES,
    "proxy-ssl-verify-depth": NATURALS,
    "relative-redirects": BOOLEANS,
    "rewrite-target": (
        {"/x": ("/x",), "/$2": ("/", Variable("capture", "2")), "x/$1y": ("/x/", Variable("capture", "1"), "y")},
        ("http://evil/$1", '/$9"', "/x{y}", "/a b", "/$nothing", "//a", "/a?b", "/a$"),
    ),
    "satisfy": ({"any": "any", "all": "all"}, ("some", "any;")),
    "server-alias": (
        {"B.example, a.example": ("a.example", "b.example"), "~^a$": ("~^a$",), "*.a.example": ("*.a.example",)},
        ("a b", "a;", "~(", "1.2.3.4", "-a"),
    ),
    "server-snippet": RULES,
    "service-upstream": BOOLEANS,
    "session-cookie-change-on-failure": BOOLEANS,
    "session-cookie-conditional-samesite-none": BOOLEANS,
    "session-cookie-domain": ({"a.example": "a.example", ".a": ".a"}, ("a;b", "a b", "a/b")),
    "session-cookie-expires": ({"0": 0, "-5": -5, "172800": 172800}, ("1h", "x")),
    "session-cookie-max-age": ({"0": 0, "172800": 172800}, ("1h", "x")),
    "session-cookie-name": COOKIE_NAMES,
    "session-cookie-path": ({"/": "/", "/a/b": "/a/b"}, ("/;Domain=evil", "a", "/a b", "/\n")),
    "session-cookie-samesite": ({"lax": "Lax", "None": "None", "Strict": "Strict"}, ("x", "Lax;")),
    "session-cookie-secure": BOOLEANS,
    "ssl-ciphers": CIPHERS,
    "ssl-passthrough": BOOLEANS,
    "ssl-prefer-server-ciphers": BOOLEANS,
    "ssl-redirect": BOOLEANS,
    "stream-snippet": ({}, ("server {}",)),
    "temporal-redirect": ({"https://a/b": "https://a/b", "ftp://a/b": None}, ("/x", "http:/x", "x", "https://x/$host")),
    "temporal-redirect-code": STATUSES,
    "upstream-hash-by": (
        {"$request_uri": (Variable("request_uri"),), "$http_x_id-a": (Variable("header", "x-id"), "-a")},
        ("$nothing", "a;", 'a"'),
    ),
    "upstream-hash-by-subset": BOOLEANS,
    "upstream-hash-by-subset-size": COUNTS,
    "upstream-vhost": (
        {
            "v.example:81": ("v.example:81",),
            "$service_name.$namespace.svc": (Variable("service_name"), ".", Variable("namespace"), ".svc"),
        },
        ("a b", "a/b", "a;", "-a", "$nothing", "a\r\nX: y", "a:b"),
    ),
    "use-port-in-redirects": BOOLEANS,
    "use-regex": BOOLEANS,
    "x-forwarded-prefix": ({"/a": ("/a",), "/$1": ("/", Variable("capture", "1"))}, ("a", "/a b", "/a;", "/$nothing")),
}  # fmt: skip
"""Texts with their values, and texts that are refused."""
