//! nginx in front of Synapse, as an admin would write it down: media is cached for a minute, and so
//! is Synapse's yes to a token.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use test_support::http::Request;
use test_support::process::{Server, ending_with_input};
use test_support::time::wait_for;

/// As Debian installs it.
pub(crate) const PROGRAM: &str = "/usr/sbin/nginx";

const START_PATIENCE: Duration = Duration::from_secs(10);

/// Starts it in `folder`, and tells where it listens.
pub(crate) fn start(folder: &str, synapse: &str) -> (String, Server) {
    fs::create_dir_all(folder).expect("the folder can't be made");
    let address = free_address();
    let configuration = format!("{folder}/nginx.conf");
    fs::write(&configuration, configure(folder, &address, synapse)).expect("it can't be written");
    assert!(Path::new(PROGRAM).exists(), "{PROGRAM} is missing: run `scripts/setup bench`");
    // It says nothing when it is ready: the shell's word only means that it has been started.
    let mut command = ending_with_input("sh");
    command.args(["-c", r#"echo READY it; exec "$@""#, "sh", PROGRAM]);
    command.args(["-p", folder, "-e", "stderr", "-c", &configuration]);
    let (server, _) = Server::start(command, START_PATIENCE);
    let ask = Request::new("OPTIONS", "/_matrix/client/v1/media/").header("Host", "localhost");
    wait_for("nginx answers", START_PATIENCE, || ask.try_send(&address).ok());
    (address, server)
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("no port is free");
    listener.local_addr().expect("it is bound").to_string()
}

fn configure(folder: &str, address: &str, synapse: &str) -> String {
    format!(
        r#"daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
error_log stderr warn;

events {{}}

http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  client_max_body_size 200m;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  scgi_temp_path {folder}/scgi;
  uwsgi_temp_path {folder}/uwsgi;
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
  }}
}}
"#
    )
}
