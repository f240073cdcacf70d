//! The prompt to sign in.

/// How the user reaches the issuer's sign-in; shown at once, since the command waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// An address to open in a browser on this machine, which redirects to `callback`.
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
