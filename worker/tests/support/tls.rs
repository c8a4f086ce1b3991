//! A certificate authority of the tests' own, and a server's certificate by it.
//! Made anew each time; nothing of it outlives the test.

use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    ServerConfig,
};
use std::{path::Path, sync::Arc};

/// Whom the server's certificate is for.
pub const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// Who signs certificates.
pub struct Authority {
    key: Key,
    certificate: Vec<u8>,
}

struct Key {
    pair: Ed25519KeyPair,
    pkcs8: Vec<u8>,
}

impl Key {
    fn new() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self {
            pair: Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap(),
            pkcs8: pkcs8.as_ref().to_vec(),
        }
    }
}

impl Authority {
    pub fn new() -> Self {
        let key = Key::new();
        let is_authority = extension(&[0x55, 0x1d, 0x13], &der(SEQUENCE, &der(BOOLEAN, &[0xff])));
        Self {
            certificate: certificate(AUTHORITY, &key, AUTHORITY, &key, &is_authority),
            key,
        }
    }

    /// Writes its certificate, as systems keep those that they trust.
    pub fn write(&self, file: &Path) {
        let pem = pem::Pem::new("CERTIFICATE", self.certificate.clone());
        std::fs::write(file, pem::encode(&pem)).unwrap();
    }

    /// A server with a certificate of this authority for [`NAMES`].
    pub fn server(&self) -> Arc<ServerConfig> {
        let key = Key::new();
        let names = [
            der(CONTEXT | 2, NAMES[0].as_bytes()),
            der(CONTEXT | 7, &[127, 0, 0, 1]),
        ];
        let names = extension(&[0x55, 0x1d, 0x11], &der(SEQUENCE, &names.concat()));
        let leaf = certificate("a server", &key, AUTHORITY, &self.key, &names);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(leaf)],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.pkcs8)),
            );
        Arc::new(config.unwrap())
    }
}

const AUTHORITY: &str = "an authority of tests";

// DER, as much of it as a certificate of RFC 5280 needs.
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT: u8 = 0x80;
const CONSTRUCTED: u8 = 0x20;

/// Tag, length, content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let [high, low] = length.to_be_bytes();
    let length = match length {
        0..=127 => vec![low],
        128..=255 => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag][..], &length, content].concat()
}

fn bits(content: &[u8]) -> Vec<u8> {
    der(BIT_STRING, &[&[0], content].concat())
}

fn name(common: &str) -> Vec<u8> {
    let common_name = [
        der(OBJECT, &[0x55, 0x04, 0x03]),
        der(UTF8_STRING, common.as_bytes()),
    ];
    let attribute = der(SEQUENCE, &common_name.concat());
    der(SEQUENCE, &der(SET, &attribute))
}

/// A critical extension.
fn extension(id: &[u8], value: &[u8]) -> Vec<u8> {
    let parts = [
        der(OBJECT, id),
        der(BOOLEAN, &[0xff]),
        der(OCTET_STRING, value),
    ];
    der(SEQUENCE, &parts.concat())
}

fn certificate(subject: &str, key: &Key, issuer: &str, signer: &Key, extension: &[u8]) -> Vec<u8> {
    let ed25519 = der(SEQUENCE, &der(OBJECT, &[0x2b, 0x65, 0x70]));
    let key = [&ed25519[..], &bits(key.pair.public_key().as_ref())].concat();
    let validity = [
        der(UTC_TIME, b"200101000000Z"),
        der(UTC_TIME, b"491231235959Z"),
    ];
    let version_3 = der(CONTEXT | CONSTRUCTED, &der(INTEGER, &[2]));
    let extensions = der(SEQUENCE, extension);
    let parts = [
        version_3,
        der(INTEGER, &[1]),
        ed25519.clone(),
        name(issuer),
        der(SEQUENCE, &validity.concat()),
        name(subject),
        der(SEQUENCE, &key),
        der(CONTEXT | CONSTRUCTED | 3, &extensions),
    ];
    let body = der(SEQUENCE, &parts.concat());
    let signature = bits(signer.pair.sign(&body).as_ref());
    der(SEQUENCE, &[body, ed25519, signature].concat())
}
