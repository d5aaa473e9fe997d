//! A mail that a step sends (PRV-016).

use std::net::IpAddr;
use std::time::Duration;

use lettre::address::{Address, Envelope};
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::http::Failure;
use super::{required, text};

/// How long a server may take for each answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The port on which a server speaks TLS from the first byte; on others it may be asked to.
const TLS_PORT: u16 = 465;

/// A mail, and the server that takes it.
pub(crate) struct Mail {
    host: String,
    port: u16,
    credentials: Option<Credentials>,
    envelope: Envelope,
    bytes: Vec<u8>,
}

impl Mail {
    /// Reads the parameters of `email.#SendEmail`. The same identity gives the same `Message-ID`, so that a receiver can tell a
    /// mail that comes twice.
    ///
    /// # Errors
    /// What is missing or is no address.
    pub(crate) fn read(params: &Value, identity: &str) -> Result<Self, String> {
        let from = required(params, "from")?;
        let part = |key: &str| text(from, key).ok_or_else(|| format!("from.{key} is missing"));
        let (address, host) = (part("address")?, part("host")?);
        let port = from["port"].as_u64().unwrap_or(587);
        let port = u16::try_from(port).map_err(|_| format!("from.port: {port} is no port"))?;
        let content = required(params, "content")?;
        let sender = Mailbox::new(
            text(from, "alias").map(str::to_owned),
            parsed("from.address", address)?,
        );
        let id = hex::encode(&Sha256::digest(identity)[..16]);
        let mut message = Message::builder()
            .message_id(Some(format!("<{id}@{}>", sender.email.domain())))
            .from(sender)
            .subject(text(content, "subject").unwrap_or_default())
            .header(ContentType::TEXT_HTML);
        for receiver in receivers(params)? {
            message = message.to(Mailbox::new(None, receiver));
        }
        let body = text(content, "body").unwrap_or_default().to_owned();
        let message = message.body(body).map_err(|error| error.to_string())?;
        Ok(Self {
            host: host.to_owned(),
            port,
            credentials: text(from, "password")
                .map(|password| Credentials::new(address.to_owned(), password.to_owned())),
            envelope: message.envelope().clone(),
            bytes: message.formatted(),
        })
    }

    /// Hands the mail to its server.
    ///
    /// # Errors
    /// Why the server does not have it, or may have it nevertheless.
    pub(crate) async fn send(self) -> Result<Value, Failure> {
        let mut connection = self.connected().await.map_err(|why| Failure {
            message: format!("failed to send email: {why}"),
            may_have_arrived: false,
        })?;
        let sent = connection.send(&self.envelope, &self.bytes).await;
        sent.map_err(|error| Failure {
            message: format!("failed to send email: {}", told(&error)),
            // A server that says no does not have it.
            may_have_arrived: !(error.is_permanent() || error.is_transient()),
        })?;
        // It has the mail; whether it says goodbye is of no interest.
        let _ = connection.quit().await;
        Ok(json!({}))
    }

    /// Connects, with TLS where the server offers it, and signs in where it wants that.
    async fn connected(&self) -> Result<AsyncSmtpConnection, String> {
        let words = |error: Error| told(&error);
        let server = (self.host.as_str(), self.port);
        let hello = ClientId::default();
        let tls = TlsParameters::new(self.host.clone()).map_err(words)?;
        let at_once = (self.port == TLS_PORT).then(|| tls.clone());
        let mut secure = at_once.is_some();
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(PATIENCE), &hello, at_once, None)
                .await
                .map_err(words)?;
        if !secure && connection.can_starttls() {
            connection.starttls(tls, &hello).await.map_err(words)?;
            secure = true;
        }
        let Some(credentials) = &self.credentials else {
            return Ok(connection);
        };
        let info = connection.server_info();
        if info.get_auth_mechanism(DEFAULT_MECHANISMS).is_some() {
            if !secure && !is_this_machine(&self.host) {
                return Err(format!(
                    "{} wants a password without TLS: it is not sent in the clear",
                    self.host
                ));
            }
            connection
                .auth(DEFAULT_MECHANISMS, credentials)
                .await
                .map_err(words)?;
        }
        Ok(connection)
    }
}

fn receivers(params: &Value) -> Result<Vec<Address>, String> {
    let all = params["to"].as_array();
    let all = all.into_iter().flatten().filter_map(Value::as_str);
    let all: Vec<Address> = all
        .map(|address| parsed("to", address))
        .collect::<Result<_, _>>()?;
    if all.is_empty() {
        return Err("to names nobody".to_owned());
    }
    Ok(all)
}

fn parsed(field: &str, address: &str) -> Result<Address, String> {
    address
        .parse()
        .map_err(|error| format!("{field}: {address:?} is no mail address: {error}"))
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// An error with its causes.
fn told(error: &Error) -> String {
    let mut words = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        next = cause.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    fn params(port: u16) -> Value {
        json!({
            "from": {"address": "a@example.test", "alias": "Änne", "password": "p", "host": "127.0.0.1", "port": port},
            "to": ["b@example.test", "c@example.test"],
            "content": {"subject": "done", "body": "<b>it runs</b>"},
        })
    }

    /// A server that takes one mail; what it was told.
    async fn server() -> (u16, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&told);
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            let (input, mut output) = stream.into_split();
            let mut lines = BufReader::new(input).lines();
            let mut is_data = false;
            output.write_all(b"220 sink\r\n").await.expect("a client");
            while let Ok(Some(line)) = lines.next_line().await {
                let answer: &[u8] = match line.as_str() {
                    "." => {
                        is_data = false;
                        b"250 taken\r\n"
                    }
                    _ if is_data => b"",
                    "DATA" => {
                        is_data = true;
                        b"354 go on\r\n"
                    }
                    "QUIT" => b"221 bye\r\n",
                    _ if line.starts_with("EHLO") => b"250-sink\r\n250 AUTH PLAIN\r\n",
                    _ if line.starts_with("AUTH") => b"235 known\r\n",
                    _ => b"250 ok\r\n",
                };
                heard
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
                output.write_all(answer).await.expect("a client");
            }
        });
        (port, told)
    }

    #[tokio::test]
    async fn a_server_gets_the_mail_with_login_and_a_lasting_id() {
        let (port, told) = server().await;
        let mail = Mail::read(&params(port), "run/step/call").expect("a mail");
        let sent = mail.send().await.map_err(|failure| failure.message);
        assert_eq!(sent, Ok(json!({})));
        let told = told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n");
        for expected in [
            "AUTH PLAIN",
            "MAIL FROM:<a@example.test>",
            "RCPT TO:<b@example.test>",
            "RCPT TO:<c@example.test>",
            "Subject: done",
            "<b>it runs</b>",
        ] {
            assert!(told.contains(expected), "{expected}:\n{told}");
        }
        let id = |identity: &str| {
            let mail = Mail::read(&params(port), identity).expect("a mail");
            let text = String::from_utf8_lossy(&mail.bytes).into_owned();
            text.lines()
                .find(|line| line.starts_with("Message-ID"))
                .map(str::to_owned)
        };
        assert!(id("1").is_some());
        assert_eq!(id("1"), id("1"));
        assert_ne!(id("1"), id("2"));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_has_no_mail() {
        let mail = Mail::read(&params(2), "x").expect("a mail");
        let failure = mail.send().await.expect_err("nobody listens");
        assert!(!failure.may_have_arrived);
        let words = failure.message;
        assert!(words.starts_with("failed to send email: "), "{words}");
        assert!(words.to_lowercase().contains("refused"), "{words}");
    }

    #[test]
    fn what_is_no_address_is_named() {
        let mut wrong = params(25);
        wrong["to"] = json!(["nobody"]);
        let words = Mail::read(&wrong, "x").err().expect("no address");
        assert!(
            words.starts_with("to: \"nobody\" is no mail address"),
            "{words}"
        );
    }
}
