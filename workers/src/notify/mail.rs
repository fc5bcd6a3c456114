//! E-mail, handed to a mail server by SMTP.

use std::error::Error as _;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::notify::SendMail;

use super::Client;
use crate::http::{Effect, shortened};
use crate::measured::Call;

/// How long the mail server may take for one answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// What we call ourselves: nobody looks it up, and the machine's own name is nobody's business.
const HELLO: &str = "stead";

/// Hands the message over. Sent again it has the same Message-ID, by which mail programs tell.
pub(super) async fn send_mail(
    client: Client,
    cx: StepContext,
    ask: SendMail,
) -> Result<Done, Failure> {
    let message = message(&ask)?;
    let server = server(&client, &ask).await?;
    cx.still_wanted()?;
    let sent = async { server.send(message).await.map_err(|error| meaning(&error)) };
    Call::of("notify", Effect::Possible).measured(sent).await?;
    Ok(Done {})
}

fn message(ask: &SendMail) -> Result<Message, Failure> {
    let mut message = Message::builder()
        .from(mailbox(&ask.from)?)
        .message_id(Some(format!("<{}@stead>", ask.id)))
        .subject(&ask.subject)
        .header(ContentType::TEXT_PLAIN);
    for to in &ask.to {
        message = message.to(mailbox(to)?);
    }
    message.body(ask.text.clone()).map_err(|error| {
        Failure::new(Class::Permanent, format!("the mail cannot be written: {error}"))
    })
}

fn mailbox(address: &str) -> Result<Mailbox, Failure> {
    address.parse().map_err(|error| {
        Failure::new(Class::Permanent, format!("`{address}` is no mail address: {error}"))
    })
}

async fn server(
    client: &Client,
    ask: &SendMail,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, Failure> {
    let Some(address) = &client.shared.mail else {
        let words = "the site has no mail server: [mail] names none";
        return Err(Failure::new(Class::Permanent, words));
    };
    let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(address.as_str());
    let mut builder = builder
        .map_err(|error| {
            Failure::new(Class::Permanent, "the mail server cannot be spoken to")
                .vendor(shortened(&error.to_string()))
        })?
        .hello_name(ClientId::Domain(HELLO.to_owned()))
        .timeout(Some(ANSWER_TIME_MAX));
    if let Some(login) = &ask.login {
        if !address.keeps_secrets() {
            let words = "a password is not sent to a mail server in the clear; use smtps://";
            return Err(Failure::new(Class::Permanent, words));
        }
        let secret = client.shared.secrets.read(login).await?;
        let (user, password) = (secret.field("username")?, secret.field("password")?);
        builder = builder.credentials(Credentials::new(user.to_owned(), password.to_owned()));
    }
    Ok(builder.build())
}

/// What the server's answer means. A message whose answer was lost may have been taken.
fn meaning(error: &SmtpError) -> Failure {
    let code = error.status().map(u16::from);
    let (class, words) = match code {
        Some(530 | 534 | 535 | 538) => (Class::Auth, "the mail server does not let us in"),
        Some(_) if error.is_permanent() => (Class::Permanent, "the mail server refuses the mail"),
        Some(_) => (Class::Wait, "the mail server asks us to come back later"),
        None if error.is_tls() => (Class::VendorDown, "the mail server cannot be spoken to safely"),
        None if error.is_client() => (Class::Permanent, "the mail server cannot take such a mail"),
        None if error.is_timeout() => (Class::Ambiguous, "the mail server did not answer in time"),
        None => (Class::VendorDown, "the mail server cannot be reached, or broke off"),
    };
    let said = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    Failure::new(class, words).vendor(shortened(&said))
}
