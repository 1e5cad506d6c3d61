//! Why bytes are not a certificate.

/// Why bytes are not a certificate that can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The bytes from `at` on are not the strict DER that belongs there (X509-51).
    #[error("malformed certificate at byte {at}")]
    Der {
        /// Offset in the certificate.
        at: usize,
    },
    /// There are more bytes than [`MAX_CERTIFICATE_LEN`](super::MAX_CERTIFICATE_LEN) (X509-61).
    #[error("certificate of {len} bytes")]
    TooLong {
        /// Bytes given.
        len: usize,
    },
    /// Bytes follow the certificate (RS-09).
    #[error("bytes after the certificate")]
    TrailingData,
    /// The version is not 3 (X509-41).
    #[error("certificate is not of version 3")]
    Version,
    /// The serial number has more than 20 octets (X509-42).
    #[error("serial number of more than 20 octets")]
    SerialTooLong,
    /// The signature algorithm that is signed is not the one outside (X509-45).
    #[error("the two signature algorithms differ")]
    SignatureAlgorithms,
    /// A time is not UTCTime or GeneralizedTime in whole seconds and UTC (X509-43).
    #[error("malformed time of validity")]
    Time,
    /// An extension comes twice (X509-06).
    #[error("an extension comes twice")]
    DuplicateExtension,
    /// There are more extensions than [`MAX_EXTENSIONS`](super::MAX_EXTENSIONS) (X509-61).
    #[error("too many extensions")]
    TooManyExtensions,
    /// The content of an extension is not what its type says: SAN (X509-06), basic constraints (X509-21), key usages (X509-39), name
    /// constraints (X509-25), or key identifiers (X509-51).
    #[error("malformed {0} extension")]
    Extension(ExtensionKind),
}

impl CertificateError {
    /// The number of the rule that was broken, in the project's list of requirements.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Der { .. } => "X509-51",
            Self::TooLong { .. } | Self::TooManyExtensions => "X509-61",
            Self::TrailingData => "RS-09",
            Self::Version => "X509-41",
            Self::SerialTooLong => "X509-42",
            Self::SignatureAlgorithms => "X509-45",
            Self::Time => "X509-43",
            Self::DuplicateExtension => "X509-06",
            Self::Extension(kind) => match kind {
                ExtensionKind::SubjectAltName => "X509-06",
                ExtensionKind::BasicConstraints => "X509-21",
                ExtensionKind::KeyUsage | ExtensionKind::ExtendedKeyUsage => "X509-39",
                ExtensionKind::NameConstraints => "X509-25",
                ExtensionKind::SubjectKeyIdentifier | ExtensionKind::AuthorityKeyIdentifier => {
                    "X509-51"
                }
            },
        }
    }
}

/// An extension that is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ExtensionKind {
    /// Subject alternative name (X509-06).
    SubjectAltName,
    /// Basic constraints (X509-20, X509-21).
    BasicConstraints,
    /// Key usage (X509-39).
    KeyUsage,
    /// Extended key usage.
    ExtendedKeyUsage,
    /// Name constraints (X509-25).
    NameConstraints,
    /// Subject key identifier.
    SubjectKeyIdentifier,
    /// Authority key identifier.
    AuthorityKeyIdentifier,
}

impl std::fmt::Display for ExtensionKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::SubjectAltName => "subject alternative name",
            Self::BasicConstraints => "basic constraints",
            Self::KeyUsage => "key usage",
            Self::ExtendedKeyUsage => "extended key usage",
            Self::NameConstraints => "name constraints",
            Self::SubjectKeyIdentifier => "subject key identifier",
            Self::AuthorityKeyIdentifier => "authority key identifier",
        })
    }
}
