//! Where somebody is asked to sign in.

/// How a person reaches the issuer's sign-in; shown at once, since something waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// An address to open in a browser of this machine, which leads back to `callback`.
    Browser {
        /// The address.
        address: String,
        /// The loopback address, which must be among the application's allowed callback URLs.
        callback: String,
    },
    /// An address to open anywhere, and a code to type there.
    Device {
        /// The address.
        address: String,
        /// The code.
        code: String,
    },
}
