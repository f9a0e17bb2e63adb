//! nginx, as Debian installs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::http::Request;
use crate::process::{Server, ending_with_input, free_port};
use crate::time::wait_for;

/// Where `scripts/setup nginx` puts it.
pub const PROGRAM: &str = "/usr/sbin/nginx";

const START_PATIENCE: Duration = Duration::from_secs(10);

/// An nginx that ends when this is dropped.
#[derive(Debug)]
pub struct Nginx {
    /// `127.0.0.1:port`.
    pub address: String,
    server: Server,
    _folder: Folder,
}

/// One that is removed in the end: fields are dropped in order, so the server has ended before.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left lies where the build's output does.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Nginx {
    /// Starts one that keeps all its files in `folder`; `http` is told the address to listen on, and
    /// says what stands in the block of that name.
    ///
    /// # Panics
    /// When nginx isn't installed, or when it doesn't start.
    pub fn start(folder: &str, http: impl FnOnce(&str) -> String) -> Self {
        assert!(Path::new(PROGRAM).exists(), "{PROGRAM} is missing: run `scripts/setup nginx`");
        fs::create_dir_all(folder).expect("the folder can't be made");
        let address = format!("127.0.0.1:{}", free_port());
        let configuration = format!("{folder}/nginx.conf");
        fs::write(&configuration, configure(folder, &http(&address))).expect("it can be written");
        // It says nothing when it is ready: the shell's word only means that it has been started.
        let mut command = ending_with_input("sh");
        command.args(["-c", r#"echo READY it; exec "$@""#, "sh", PROGRAM]);
        command.args(["-p", folder, "-e", "stderr", "-c", &configuration]);
        let (server, _) = Server::start(command, START_PATIENCE);
        let ask = Request::new("OPTIONS", "/_matrix/client/v1/media/").header("Host", "localhost");
        wait_for("nginx answers", START_PATIENCE, || ask.try_send(&address).ok());
        Self { address, server, _folder: Folder(folder.into()) }
    }

    /// The process whose descendants are all that runs it.
    pub fn id(&self) -> u32 {
        self.server.id()
    }
}

fn configure(folder: &str, http: &str) -> String {
    format!(
        "daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
error_log stderr warn;

events {{}}

http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  scgi_temp_path {folder}/scgi;
  uwsgi_temp_path {folder}/uwsgi;
{http}
}}
"
    )
}
