//! Why a caller's credentials were rejected, for the log.

/// Why a caller's credentials were rejected. For the log only: in a response it would help to guess
/// valid ones. Holds nothing that the caller sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum CredentialFault {
    #[error("no token and no client certificate")]
    Missing,
    #[error("the authorization header is not one bearer token")]
    Header,
    #[error("no identity has this token")]
    UnknownToken,
    #[error("no identity has a name of the client certificate")]
    UnknownCertificate,
    #[error("malformed JSON web token")]
    Malformed,
    #[error("algorithm of the token's signature not supported")]
    Algorithm,
    #[error("unknown key: the issuer's key set has none for this token")]
    UnknownKey,
    #[error("wrong signature")]
    Signature,
    #[error("wrong issuer")]
    Issuer,
    #[error("wrong audience")]
    Audience,
    #[error("token expired")]
    Expired,
    #[error("token not valid yet")]
    NotValidYet,
    #[error("the token's subject is missing, too long or has control characters")]
    Subject,
    #[error("no identity has a role of the token")]
    Roles,
}
