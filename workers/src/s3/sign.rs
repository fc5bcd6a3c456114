//! Signs requests to S3, version 4 of the scheme: a digest over the request as it is sent, keyed
//! with a secret of the day. Pure: the moment is given.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// What a request is signed with and for.
pub(super) struct Signer<'a> {
    pub id: &'a str,
    pub secret: &'a str,
    pub region: &'a str,
    /// `s3`.
    pub service: &'a str,
}

/// What of a request is signed.
pub(super) struct Request<'a> {
    pub method: &'a str,
    /// With every character encoded that is neither plain nor a slash, however it is sent.
    pub path: &'a str,
    /// As it is sent: encoded, sorted by name.
    pub query: &'a str,
    /// Names in small letters, sorted.
    pub headers: &'a [(&'a str, &'a str)],
    /// The digest of the body, in hexadecimal digits.
    pub body: &'a str,
    /// `20150830T123600Z`.
    pub at: &'a str,
}

impl Signer<'_> {
    /// The value of the header `Authorization`.
    pub(super) fn authorization(&self, request: &Request<'_>) -> String {
        let day = request.at.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let digest = hex(&Sha256::digest(canonical(request, &names)));
        let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{digest}", request.at);
        let mut key = keyed(format!("AWS4{}", self.secret).as_bytes(), day);
        for part in [self.region, self.service, "aws4_request"] {
            key = keyed(&key, part);
        }
        let signature = hex(&keyed(&key, &text));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.id
        )
    }
}

fn canonical(request: &Request<'_>, names: &str) -> String {
    let Request { method, path, query, headers, body, .. } = request;
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{body}")
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|_| unreachable!("a key of any length will do"));
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Bytes as small hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::{Request, Signer, hex};

    /// The worked example of the scheme's own description: a listing of users.
    #[test]
    fn the_published_example_is_signed_as_published() {
        let signer = Signer {
            id: "AKIDEXAMPLE",
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            region: "us-east-1",
            service: "iam",
        };
        let signed = signer.authorization(&Request {
            method: "GET",
            path: "/",
            query: "Action=ListUsers&Version=2010-05-08",
            headers: &[
                ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
                ("host", "iam.amazonaws.com"),
                ("x-amz-date", "20150830T123600Z"),
            ],
            body: &hex(&Sha256::digest("")),
            at: "20150830T123600Z",
        });
        assert_eq!(
            signed,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }
}
