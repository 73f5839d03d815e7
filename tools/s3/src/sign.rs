//! The headers that sign a request (SigV4).
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};

use crate::{answer::Failure, config::S3Credentials};

/// Names and values of the headers that a GET of `url` with this `Range` needs beside it.
pub(crate) fn headers(
    url: &str,
    range_header: &str,
    credentials: &S3Credentials,
    region: &str,
    now: SystemTime,
) -> Result<Vec<(String, String)>, Failure> {
    let S3Credentials { access_key_id, secret_access_key, session_token } = credentials;
    let identity =
        Credentials::new(access_key_id, secret_access_key, session_token.clone(), None, "arguments").into();
    let mut settings = SigningSettings::default();
    // S3 differs from the other services: keys are names, not paths, and are encoded once.
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| Failure::unavailable(error.into()))?
        .into();
    let request =
        SignableRequest::new("GET", url, [("range", range_header)].into_iter(), SignableBody::Bytes(&[]))
            .map_err(|error| Failure::unavailable(error.into()))?;
    let signed = sign(request, &params).map_err(|error| Failure::unavailable(error.into()))?;
    let (instructions, _) = signed.into_parts();
    Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}
