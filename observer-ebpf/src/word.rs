//! Byte-sized words of the ABI: who refused a check, why, and how it was made.

/// A byte-sized word of the ABI: an enum that user space decodes from a byte.
macro_rules! word {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* $variant,)* }

        impl $name {
            /// Every value, in the order of its byte.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word for it in JSON and labels.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Decodes a byte that a program wrote; an unknown one is the default.
            #[must_use]
            pub fn from_byte(byte: u8) -> Self {
                Self::ALL.get(usize::from(byte)).copied().unwrap_or_default()
            }
        }
    };
}
pub(crate) use word;

word!(
    /// Who refused a capability check.
    Layer {
        /// Nothing was refused.
        #[default] None = "none",
        /// The capability sets of the credential (`security/commoncap.c`).
        Commoncap = "commoncap",
        /// `AppArmor`.
        Apparmor = "apparmor",
        /// `SELinux`.
        Selinux = "selinux",
        /// Another LSM, or an LSM that is not known.
        Lsm = "lsm",
        /// A seccomp filter.
        Seccomp = "seccomp",
    }
);

word!(
    /// Why commoncap refused.
    Reason {
        /// Not known, or not commoncap.
        #[default] None = "none",
        /// The capability is not in the effective set.
        NotEffective = "not_effective",
        /// The target user namespace is not the credential's own, nor below it.
        Namespace = "namespace",
    }
);

word!(
    /// Whether the caller asked for the check to be audited.
    Audited {
        /// The mechanism does not show it.
        #[default] Unknown = "unknown",
        /// It did.
        Yes = "yes",
        /// `CAP_OPT_NOAUDIT`.
        No = "no",
    }
);

word!(
    /// The way by which a check came to commoncap.
    Via {
        /// The mechanism does not show it.
        #[default] Unknown = "unknown",
        /// Through `security_capable`: every layer is asked.
        SecurityCapable = "security_capable",
        /// Straight to `cap_capable`: no LSM is asked.
        Direct = "direct",
    }
);
