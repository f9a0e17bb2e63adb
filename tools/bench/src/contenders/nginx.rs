//! nginx in front of Synapse, as an admin would write it down: media is cached for a minute, and so
//! is Synapse's yes to a token.

use test_support::nginx::Nginx;

/// Starts it in `folder`.
pub(crate) fn start(folder: &str, synapse: &str) -> Nginx {
    Nginx::start(folder, |address| configure(folder, address, synapse))
}

fn configure(folder: &str, address: &str, synapse: &str) -> String {
    format!(
        r#"
  sendfile on;
  tcp_nopush on;
  client_max_body_size 200m;
  proxy_cache_path {folder}/media keys_zone=media:10m max_size=8g use_temp_path=off;
  proxy_cache_path {folder}/tokens keys_zone=tokens:10m use_temp_path=off;

  upstream synapse {{ server {synapse}; keepalive 16; }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $remote_addr;

  server {{
    listen {address};

    location /_matrix/client/v1/media/ {{
      if ($request_method = OPTIONS) {{
        add_header Access-Control-Allow-Origin *;
        add_header Access-Control-Allow-Methods "GET, HEAD, OPTIONS";
        add_header Access-Control-Allow-Headers Authorization;
        return 204;
      }}
      auth_request /whoami;
      proxy_cache media;
      proxy_cache_key $request_uri;
      proxy_cache_valid 200 60s;
      proxy_cache_lock on;
      proxy_force_ranges on;
      proxy_ignore_headers Cache-Control;
      proxy_pass http://synapse;
    }}

    location = /whoami {{
      internal;
      proxy_cache tokens;
      proxy_cache_key $http_authorization;
      proxy_cache_valid 200 60s;
      proxy_ignore_headers Cache-Control;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_pass http://synapse/_matrix/client/v3/account/whoami;
    }}

    location /.well-known/matrix/ {{
      proxy_cache media;
      proxy_cache_valid 200 60s;
      proxy_ignore_headers Cache-Control;
      proxy_pass http://synapse;
    }}

    location / {{
      proxy_request_buffering off;
      proxy_pass http://synapse;
    }}
  }}"#
    )
}
