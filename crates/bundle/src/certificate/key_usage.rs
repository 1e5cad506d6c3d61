//! What a key and a certificate may be used for. Spec: RFC 5280 §4.2.1.3, §4.2.1.12.

/// The bits of a key usage extension.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyUsage {
    /// Bit 0 of the extension is the highest bit here.
    bits: u16,
    critical: bool,
}

impl KeyUsage {
    /// Takes the octets of the named bit list; bits beyond the ninth are not defined.
    pub(super) fn new(octets: &[u8], critical: bool) -> Self {
        let octet = |at| octets.get(at).copied().unwrap_or(0);
        Self {
            bits: u16::from_be_bytes([octet(0), octet(1)]),
            critical,
        }
    }

    fn has(self, bit: u32) -> bool {
        self.bits & (0x8000 >> bit) != 0
    }

    /// Whether the key may sign what is neither a certificate nor a CRL, a handshake say.
    pub fn digital_signature(self) -> bool {
        self.has(0)
    }

    /// Whether the key may encrypt keys.
    pub fn key_encipherment(self) -> bool {
        self.has(2)
    }

    /// Whether the key may agree on keys.
    pub fn key_agreement(self) -> bool {
        self.has(4)
    }

    /// Whether the key may sign certificates.
    pub fn key_cert_sign(self) -> bool {
        self.has(5)
    }

    /// Whether the key may sign CRLs.
    pub fn crl_sign(self) -> bool {
        self.has(6)
    }

    /// Whether the extension is critical.
    pub fn is_critical(self) -> bool {
        self.critical
    }
}

/// The purposes of an extended key usage extension.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ExtendedKeyUsage {
    pub(super) server_auth: bool,
    pub(super) client_auth: bool,
    pub(super) any: bool,
    pub(super) critical: bool,
}

impl ExtendedKeyUsage {
    /// Whether the certificate may be a TLS server's: `id-kp-serverAuth`, or any purpose.
    pub fn allows_server(self) -> bool {
        self.server_auth || self.any
    }

    /// Whether the certificate may be a TLS client's: `id-kp-clientAuth`, or any purpose.
    pub fn allows_client(self) -> bool {
        self.client_auth || self.any
    }

    /// Whether `anyExtendedKeyUsage` is among the purposes.
    pub fn allows_any(self) -> bool {
        self.any
    }

    /// Whether the extension is critical.
    pub fn is_critical(self) -> bool {
        self.critical
    }
}
