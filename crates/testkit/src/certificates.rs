//! Certificates of an authority that is made for the test.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd,
};
use std::fs;
use std::path::Path;

/// A certificate authority that all parties of a test trust.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Its own certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for DNS names or addresses, and for URIs, which have a scheme.
    pub fn issue(&self, names: &[&str]) -> Pair {
        self.sign(params(names))
    }

    /// The same, valid until the beginning of a day, such as `2026-12-31`; a past one has expired.
    pub fn issue_until(&self, names: &[&str], day: &str) -> Pair {
        let mut numbers = day.split('-').map(|part| part.parse::<u16>().unwrap());
        let mut next = || numbers.next().unwrap();
        let (year, month, day) = (next(), next(), next());
        let mut params = params(names);
        let (month, day) = (month.try_into().unwrap(), day.try_into().unwrap());
        params.not_after = date_time_ymd(year.into(), month, day);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let all = names.iter().map(|name| (*name).to_owned());
    let (uris, names): (Vec<String>, Vec<String>) = all.partition(|name| name.contains("://"));
    let mut params = CertificateParams::new(names).unwrap();
    for uri in uris {
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
    }
    params
}

impl Pair {
    /// Writes `tls.crt` and `tls.key`, as a Kubernetes Secret has them.
    pub fn write(&self, dir: &Path) {
        fs::write(dir.join("tls.crt"), &self.certificate).unwrap();
        fs::write(dir.join("tls.key"), &self.key).unwrap();
    }
}
