//! What this machine and the cluster can tell, so that a person need not.

/// What was found before the first question.
#[derive(Clone, Debug, Default)]
pub struct Detected {
    /// MagicDNS suffix of this machine's tailnet.
    pub tailnet: Option<String>,
    /// StorageClasses, and whether each is the default.
    pub storage_classes: Vec<(String, bool)>,
    /// IngressClasses.
    pub ingress_classes: Vec<String>,
    /// An earlier run left a client secret that is kept.
    pub client_secret_in_cluster: bool,
}
