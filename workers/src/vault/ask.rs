//! How Vault is asked: as the crate `vaultrs` would ask, and with the header that says beneath which
//! span. The crate has a place for such headers beneath its own calls, and not in them.

use axum::http::{Request, Response};
use rustify::errors::ClientError as HttpError;
use rustify::{Endpoint, MiddleWare};
use serde::de::IgnoredAny;
use vaultrs::api::{AuthInfo, EndpointError, EndpointMiddleware, EndpointResult};
use vaultrs::client::VaultClient;
use vaultrs::error::ClientError;

use crate::http;

/// Asks for something, and reads what comes back.
pub(super) async fn ask<E: Endpoint>(
    vault: &VaultClient,
    endpoint: E,
) -> Result<E::Response, ClientError> {
    let answer: EndpointResult<E::Response> = send(vault, endpoint).await?.wrap()?;
    answer.data.ok_or(ClientError::ResponseDataEmptyError)
}

/// Asks for something that has no answer but that it is done.
pub(super) async fn tell<E: Endpoint>(vault: &VaultClient, endpoint: E) -> Result<(), ClientError> {
    let body = send(vault, endpoint).await?.raw();
    if body.is_empty() {
        return Ok(());
    }
    // A page of a proxy's does not say that anything is done.
    let said = serde_json::from_slice::<IgnoredAny>(&body);
    said.map(drop).map_err(|source| ClientError::JsonParseError { source })
}

/// Asks for a token.
pub(super) async fn enter<E: Endpoint<Response = ()>>(
    vault: &VaultClient,
    endpoint: E,
) -> Result<AuthInfo, ClientError> {
    let answer: EndpointResult<()> = send(vault, endpoint).await?.wrap()?;
    answer.auth.ok_or(ClientError::ResponseEmptyError)
}

async fn send<E: Endpoint>(
    vault: &VaultClient,
    endpoint: E,
) -> Result<rustify::endpoint::EndpointResult<E::Response>, ClientError> {
    let asked = endpoint.with_middleware(&Traced(&vault.middle)).exec(&vault.http).await;
    asked.map_err(refused)
}

/// Vault's own list of errors, where the answer is one.
fn refused(error: HttpError) -> ClientError {
    let HttpError::ServerResponseError { code, content: Some(said) } = &error else {
        return error.into();
    };
    match serde_json::from_str::<EndpointError>(said) {
        Ok(said) => ClientError::APIError { code: *code, errors: said.errors },
        Err(_) => error.into(),
    }
}

/// What the crate says with each request, and the span.
struct Traced<'a>(&'a EndpointMiddleware);

impl MiddleWare for Traced<'_> {
    fn request<E: Endpoint>(
        &self,
        endpoint: &E,
        request: &mut Request<Vec<u8>>,
    ) -> Result<(), HttpError> {
        self.0.request(endpoint, request)?;
        request.headers_mut().extend(http::span());
        Ok(())
    }

    fn response<E: Endpoint>(
        &self,
        endpoint: &E,
        response: &mut Response<Vec<u8>>,
    ) -> Result<(), HttpError> {
        self.0.response(endpoint, response)
    }
}
