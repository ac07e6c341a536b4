//! The contract, and what a cluster alone can show, against a real Kubernetes.
//!
//! `tools/test tests` brings a cluster up and says where it is in `PILOTHOUSE_TEST_KUBECONFIG`, and under
//! which name the cluster can fetch the image `hello:1.0.0` in `PILOTHOUSE_TEST_IMAGE`. Each test has an
//! installation and namespaces of its own, and takes all of it away at its end.

mod kubernetes {
    pub mod cluster;
    mod dismissed;
    mod foreign;
    mod goodbye;
    pub mod harness;
    mod ingress;
    mod reasons;
    mod refused;
    mod rights;
    mod switching;
    mod witness;
}

targets::contract!(kubernetes::harness::machine; every);
