//! Plays the story of `tests/clients` with matrix-sdk: see `main.rs` there.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Cursor;
use std::net::SocketAddr;
use std::time::Duration;
use std::{env, fs};

use matrix_sdk::Client;
use matrix_sdk::media::{MediaFormat, MediaRequestParameters, MediaThumbnailSettings};
use matrix_sdk::ruma::api::MatrixVersion;
use matrix_sdk::ruma::events::room::MediaSource;
use matrix_sdk::ruma::media::Method;
use matrix_sdk::ruma::{OwnedMxcUri, UInt};
use mime::Mime;
use rand::RngExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::join;
use tokio::time::sleep;

type Fallible<T> = Result<T, Box<dyn Error>>;

/// How long the reader has waited when an asynchronous upload begins.
const HEAD_START: Duration = Duration::from_millis(500);

/// The local runtime closes idle connections without TLS's farewell, which the SDK takes for an error.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Fallible<()> {
    let world: Value = serde_json::from_str(&env::args().nth(1).ok_or("tell the world")?)?;
    let settings = world["settings"].as_object().ok_or("there are no settings")?;
    let mut told = BTreeMap::new();
    for (name, setting) in settings {
        told.insert(name, play(&world, setting).await?);
    }
    println!("{}", json!(told));
    Ok(())
}

async fn play(world: &Value, setting: &Value) -> Fallible<Value> {
    let alice = User::log_in(world, setting, "alice").await?;
    let bob = User::log_in(world, setting, "bob").await?;

    let (file, bytes) = (mime("video/mp4")?, noise(&world["sizes"]["file"])?);
    let uri = alice.upload(&file, &bytes).await?;
    let mut reads = Vec::new();
    for _ in 0..world["reads"].as_u64().ok_or("no number of reads")? {
        reads.push(tell(&bob.read(&uri).await?));
    }
    let file = told(&bytes, [("uri", json!(uri)), ("reads", json!(reads))]);

    let picture = fs::read(world["picture"].as_str().ok_or("there is no picture")?)?;
    let squares = alice.upload(&mime::IMAGE_PNG, &picture).await?;
    let thumbnail = bob.read_thumbnail(&squares).await?;
    let squares = told(&picture, [("uri", json!(squares)), ("thumbnail", tell(&thumbnail))]);

    let bytes = noise(&world["sizes"]["encrypted"])?;
    let encrypted = alice.media.upload_encrypted_file(&mut Cursor::new(&bytes)).await?;
    let opened = bob.load(MediaSource::Encrypted(Box::new(encrypted)), MediaFormat::File).await?;
    let encrypted = told(&bytes, [("read", tell(&opened))]);

    let bytes = noise(&world["sizes"]["asynchronous"])?;
    let created = alice.media.media().create_content_uri().await?;
    let uri_to_come = created.uri.clone();
    let (read, uploaded) = join!(bob.read(&uri_to_come), async {
        sleep(HEAD_START).await;
        let media = alice.media.media();
        media
            .upload_preallocated(created, &mime("image/webp").expect("a type"), bytes.clone())
            .await
    });
    uploaded?;
    let asynchronous = told(&bytes, [("read", tell(&read?))]);

    bob.home.matrix_auth().logout().await?;
    let after_logout = match bob.read(&uri).await {
        Ok(bytes) => tell(&bytes),
        Err(error) => json!({ "status": status(&error) }),
    };
    Ok(json!({
        "file": file,
        "squares": squares,
        "encrypted": encrypted,
        "asynchronous": asynchronous,
        "afterLogout": after_logout,
    }))
}

/// The SDK's client of the homeserver, and the one that moves media, whose base URL may be another.
struct User {
    home: Client,
    media: Client,
}

impl User {
    async fn log_in(world: &Value, setting: &Value, user: &str) -> Fallible<Self> {
        let home = client(world, &setting["homeserver"], []).await?;
        let password = world["passwords"][user].as_str().ok_or("there is no password")?;
        home.matrix_auth().login_username(user, password).send().await?;
        let session = home.matrix_auth().session().ok_or("there is no session")?;
        // The media domain serves no /versions.
        let media = client(world, &setting["media"], [MatrixVersion::V1_11]).await?;
        media.restore_session(session).await?;
        Ok(Self { home, media })
    }

    async fn upload(&self, content_type: &Mime, bytes: &[u8]) -> Fallible<OwnedMxcUri> {
        let media = self.media.media();
        Ok(media.upload(content_type, bytes.to_owned(), None).await?.content_uri)
    }

    async fn read(&self, uri: &OwnedMxcUri) -> matrix_sdk::Result<Vec<u8>> {
        self.load(MediaSource::Plain(uri.clone()), MediaFormat::File).await
    }

    async fn read_thumbnail(&self, uri: &OwnedMxcUri) -> matrix_sdk::Result<Vec<u8>> {
        let side = UInt::from(96_u8);
        let settings = MediaThumbnailSettings::with_method(Method::Crop, side, side);
        self.load(MediaSource::Plain(uri.clone()), MediaFormat::Thumbnail(settings)).await
    }

    /// Without the SDK's own cache.
    async fn load(&self, source: MediaSource, format: MediaFormat) -> matrix_sdk::Result<Vec<u8>> {
        let request = MediaRequestParameters { source, format };
        self.media.media().get_media_content(&request, false).await
    }
}

async fn client<const N: usize>(
    world: &Value,
    url: &Value,
    versions: [MatrixVersion; N],
) -> Fallible<Client> {
    let mut http = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT);
    for (domain, address) in world["edges"].as_object().ok_or("there are no edges")? {
        let address: SocketAddr = address.as_str().ok_or("an address is no text")?.parse()?;
        for name in ["matrix", "media"] {
            http = http.resolve(&format!("{name}.{domain}"), address);
        }
    }
    let mut builder = Client::builder()
        .homeserver_url(url.as_str().ok_or("there is no URL")?)
        .http_client(http.build()?);
    if N > 0 {
        builder = builder.server_versions(versions);
    }
    Ok(builder.build().await?)
}

fn status(error: &matrix_sdk::Error) -> Option<u16> {
    error.as_client_api_error().map(|error| error.status_code.as_u16())
}

fn told<const N: usize>(bytes: &[u8], more: [(&str, Value); N]) -> Value {
    let mut told = tell(bytes);
    for (name, value) in more {
        told[name] = value;
    }
    told
}

fn tell(bytes: &[u8]) -> Value {
    let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "status": 200, "bytes": bytes.len(), "sha256": sha256 })
}

fn noise(length: &Value) -> Fallible<Vec<u8>> {
    let mut bytes = vec![0; length.as_u64().ok_or("there is no length")?.try_into()?];
    rand::rng().fill(&mut bytes[..]);
    Ok(bytes)
}

fn mime(text: &str) -> Fallible<Mime> {
    Ok(text.parse()?)
}
