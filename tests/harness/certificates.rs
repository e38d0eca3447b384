//! Certificates of one test, and a tunnel that speaks TLS for plain clients.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// An authority, and certificates for a server and a client: `ca.crt`, `server.crt`, `server.key`,
/// `client.crt` and `client.key`. The names in the certificates are `localhost`, and those of the
/// files.
#[derive(Debug)]
pub struct Certificates {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    /// Makes an authority and its certificates.
    ///
    /// # Panics
    ///
    /// When files cannot be written.
    #[expect(clippy::new_without_default, reason = "each call makes others")]
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut ca = CertificateParams::new(Vec::new()).expect("no names");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = ca.self_signed(&key).expect("a certificate").pem();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let certificates = Self { dir, issuer: Issuer::new(ca, key) };
        certificates.write("ca.crt", &certificate);
        ["server", "client"].iter().for_each(|name| certificates.sign(name));
        certificates
    }

    /// Makes a key and a certificate in two files with this name, or replaces them.
    ///
    /// # Panics
    ///
    /// When files cannot be written.
    pub fn sign(&self, name: &str) {
        self.sign_with(name, None);
    }

    /// Does so with this serial number, which [`revoke`](Self::revoke) needs.
    ///
    /// # Panics
    ///
    /// When files cannot be written.
    pub fn sign_with(&self, name: &str, serial: Option<u64>) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = serial.map(SerialNumber::from);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        self.write(&format!("{name}.crt"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// Writes `crl.pem`, which revokes the certificates with these serial numbers.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub fn revoke(&self, serials: &[u64]) {
        let time = date_time_ymd(2024, 1, 1);
        let revoked = |&serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: time,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: time,
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).expect("a list");
        self.write("crl.pem", &list.pem().expect("a list in PEM form"));
    }

    /// Writes a file beside the certificates.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file can be written");
    }

    /// Returns the path of a file.
    pub fn path(&self, name: &str) -> PathBuf {
        Path::new(self.dir.path()).join(name)
    }

    /// Returns the path of a file, for a command line.
    ///
    /// # Panics
    ///
    /// When the path of the temporary directory is no text.
    pub fn file(&self, name: &str) -> String {
        self.path(name).to_str().expect("text").to_owned()
    }

    /// Returns the flags of a server with these files and this `tls-port`.
    pub fn flags(&self, tls_port: u16) -> Vec<String> {
        let port = tls_port.to_string();
        let files = ["server.crt", "server.key", "ca.crt"].map(|name| self.file(name));
        let [certificate, key, ca] = files;
        let names = ["--tls-port", "--tls-cert-file", "--tls-key-file", "--tls-ca-cert-file"];
        let values = [port, certificate, key, ca];
        names.into_iter().zip(values).flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }

    /// Opens a tunnel to a port with TLS, for a client with this certificate or without one.
    ///
    /// # Panics
    ///
    /// When there is no free port, or a file cannot be read.
    pub async fn tunnel(&self, tls_port: u16, client: Option<&str>) -> Tunnel {
        self.tunnel_from(Ipv4Addr::LOCALHOST, tls_port, client).await
    }

    /// Opens a tunnel whose connections come from another address of this machine.
    ///
    /// # Panics
    ///
    /// When there is no free port, or a file cannot be read.
    pub async fn tunnel_from(
        &self,
        address: Ipv4Addr,
        tls_port: u16,
        client: Option<&str>,
    ) -> Tunnel {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(self.path("ca.crt")).expect("a certificate");
        roots.add(ca).expect("an authority");
        let config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("ring has all versions")
            .with_root_certificates(roots);
        let config = match client {
            Some(name) => {
                let chain = CertificateDer::from_pem_file(self.path(&format!("{name}.crt")));
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key")));
                let chain = vec![chain.expect("a certificate")];
                config.with_client_auth_cert(chain, key.expect("a key")).expect("a pair")
            }
            None => config.with_no_client_auth(),
        };
        Tunnel::start(address, tls_port, TlsConnector::from(Arc::new(config))).await
    }
}

/// A plain port that leads to one with TLS. Dropping it closes its listener.
#[derive(Debug)]
pub struct Tunnel {
    port: u16,
    task: JoinHandle<()>,
}

impl Tunnel {
    async fn start(address: Ipv4Addr, tls_port: u16, connector: TlsConnector) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let task = tokio::spawn(async move {
            while let Ok((mut plain, _)) = listener.accept().await {
                let connector = connector.clone();
                tokio::spawn(async move {
                    let socket = TcpSocket::new_v4()?;
                    socket.bind((address, 0).into())?;
                    let server = (Ipv4Addr::LOCALHOST, tls_port).into();
                    let socket = socket.connect(server).await?;
                    socket.set_nodelay(true)?;
                    let name = ServerName::try_from("localhost").expect("a name");
                    let mut secret = connector.connect(name, socket).await?;
                    let copied = copy_bidirectional(&mut plain, &mut secret).await;
                    let _ = plain.shutdown().await;
                    copied.map(drop)
                });
            }
        });
        Self { port, task }
    }

    /// Returns the plain port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}
