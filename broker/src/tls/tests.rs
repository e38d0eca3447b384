use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use super::*;

/// A folder with an authority, a server's certificate, and the key of it.
struct Folder {
    dir: TempDir,
    settings: TlsSettings,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| Some(dir.path().join(name));
        let settings = TlsSettings {
            port: Port::Any,
            cert_file: path("server.crt"),
            key_file: path("server.key"),
            ca_cert_file: path("ca.crt"),
            ..TlsSettings::default()
        };
        let folder = Self { dir, settings };
        folder.sign(|_| {});
        folder
    }

    /// Writes a new authority, and a certificate that `change` has changed.
    fn sign(&self, change: impl FnOnce(&mut CertificateParams)) {
        let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self.write("ca.crt", &ca.self_signed(&ca_key).unwrap().pem());
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        self.write("server.crt", &certificate.pem());
        self.write("server.key", &key.serialize_pem());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Returns the error with changed settings.
    fn error(&self, change: impl FnOnce(&mut TlsSettings)) -> String {
        let mut settings = self.settings.clone();
        change(&mut settings);
        Material::load(&settings).unwrap_err().to_string()
    }
}

#[test]
fn errors_have_the_words_of_redis() {
    let folder = Folder::new();
    assert!(Material::load(&folder.settings).is_ok());
    let missing = || Some(PathBuf::from("/nowhere"));
    assert_eq!(folder.error(|it| it.cert_file = None), "No tls-cert-file configured!");
    assert_eq!(folder.error(|it| it.key_file = None), "No tls-key-file configured!");
    assert!(folder.error(|it| it.ca_cert_file = None).starts_with("Either tls-ca-cert-file or"));
    for (change, start) in [
        (
            &(|it: &mut TlsSettings| it.cert_file = missing()) as &dyn Fn(&mut TlsSettings),
            "Failed to load certificate: /nowhere: ",
        ),
        (&|it| it.key_file = missing(), "Failed to load private key: /nowhere: "),
        (
            &|it| it.ca_cert_file = missing(),
            "Failed to configure CA certificate(s) file/directory: /nowhere: ",
        ),
        (
            &|it| it.ca_cert_dir = missing(),
            "Failed to configure CA certificate(s) file/directory: /nowhere: ",
        ),
        (&|it| it.crl_file = missing(), "Failed to load certificate revocation list: /nowhere: "),
        (&|it| it.ciphers = "AES128-SHA".into(), "Failed to configure ciphers: AES128-SHA"),
        (&|it| it.ciphersuites = "X".into(), "Failed to configure ciphersuites: X"),
        (&|it| it.protocols = "SSLv3".into(), "Invalid tls-protocols specified. "),
    ] {
        let error = folder.error(change);
        assert!(error.starts_with(start), "{error}");
    }
    folder.write("server.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n");
    assert!(folder.error(|_| {}).contains("openssl pkey"));
}

#[test]
fn a_certificate_outside_of_its_time_is_refused() {
    let folder = Folder::new();
    for years in [2020..2021, 2100..2101] {
        folder.sign(|params| {
            params.not_before = date_time_ymd(years.start, 1, 1);
            params.not_after = date_time_ymd(years.end, 1, 1);
        });
        let error = "Server TLS certificate is invalid. Aborting TLS configuration.";
        assert_eq!(folder.error(|_| {}), error);
    }
}

#[test]
fn a_folder_of_authorities_may_have_other_files() {
    let folder = Folder::new();
    folder.write("readme", "nothing");
    let mut settings = folder.settings.clone();
    settings.ca_cert_file = None;
    settings.ca_cert_dir = Some(folder.dir.path().to_owned());
    let material = Material::load(&settings).unwrap();
    assert!(material.authority.unwrap().seconds_left() > 0);

    let empty = tempfile::tempdir().unwrap();
    settings.ca_cert_dir = Some(empty.path().to_owned());
    let error = Material::load(&settings).unwrap_err().to_string();
    assert!(error.ends_with(": no certificate found"), "{error}");
}

#[test]
fn a_reload_needs_a_change_and_files_that_match() {
    let folder = Folder::new();
    let tls = Tls::default();
    assert_eq!(tls.reload(&folder.settings), Reload::Changed);
    let first = tls.material().unwrap();
    assert_eq!(tls.reload(&folder.settings), Reload::Unchanged);
    folder.write("server.key", &KeyPair::generate().unwrap().serialize_pem());
    assert_eq!(tls.reload(&folder.settings), Reload::Failed);
    assert!(tls.has_failed());
    assert!(Arc::ptr_eq(&first, &tls.material().unwrap()));
    folder.sign(|_| {});
    assert_eq!(tls.reload(&folder.settings), Reload::Changed);
    assert!(!tls.has_failed());
    assert_ne!(first.server, tls.material().unwrap().server);
}

#[test]
fn the_names_of_users_stand_in_the_subject_or_in_uris() {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "ann");
    for uri in ["urn:one", "urn:two"] {
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
    }
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let names = |wanted| {
        let names = certificate::user_names(certificate.der(), wanted).into_iter();
        names.map(|name| String::from_utf8(name).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names(CertificateUser::CommonName), ["ann"]);
    assert_eq!(names(CertificateUser::Uri), ["urn:one", "urn:two"]);
    assert!(names(CertificateUser::Off).is_empty());
    let broken = CertificateDer::from(vec![1, 2, 3]);
    assert!(certificate::user_names(&broken, CertificateUser::CommonName).is_empty());
}

/// A certificate of version 1, and its key: `openssl x509 -req` without a file of extensions.
const VERSION_1: [&str; 2] = [
    "\
-----BEGIN CERTIFICATE-----
MIIBCzCBsQIBATAKBggqhkjOPQQDAjANMQswCQYDVQQDDAJjYTAgFw0yNjExMzAw
NzI0NTBaGA8yMTI2MTEwNjA3MjQ1MFowFDESMBAGA1UEAwwJbG9jYWxob3N0MFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAErgfXvEaN8idhCJSdPjbKyw7dnpiVSM6P
kdxso95a0NIYdRnQz5LMUPwiokgBMDTV0xvI09fusc/IgAm/MEoloTAKBggqhkjO
PQQDAgNJADBGAiEAhgP5XyemyGBPKi+RGE5PLAN6q6r/N43nI/sr2A7jg/kCIQC9
vgPHYCstj5Rj1V1U7u4MBjxk2m4A1XxoOGDHRwSvlw==
-----END CERTIFICATE-----
",
    "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgk4SbbXFVZ/WOWNFU
25Gw2RIlr04xYFZ2S8HKbyvsIEOhRANCAASuB9e8Ro3yJ2EIlJ0+NsrLDt2emJVI
zo+R3Gyj3lrQ0hh1GdDPksxQ/CKiSAEwNNXTG8jT1+6xz8iACb8wSiWh
-----END PRIVATE KEY-----
",
];

#[test]
fn a_certificate_of_version_1_is_served() {
    let folder = Folder::new();
    folder.write("server.crt", VERSION_1[0]);
    assert!(folder.error(|_| {}).contains("server.key"), "the key is another one");
    folder.write("server.key", VERSION_1[1]);
    assert!(Material::load(&folder.settings).is_ok());
}
