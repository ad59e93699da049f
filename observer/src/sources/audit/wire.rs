//! Netlink messages of the audit family, in host byte order
//! (`include/uapi/linux/netlink.h`, `include/uapi/linux/audit.h`).

/// `sizeof(struct nlmsghdr)`.
pub(super) const HEADER: usize = 16;
const REQUEST_LENGTH: u32 = 16;
/// `NLMSG_ERROR`.
pub(super) const ERROR: u16 = 2;
/// `AUDIT_GET`.
pub(super) const GET: u16 = 1000;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) payload: &'a [u8],
}

/// The message of a multicast datagram, of which each holds one; nothing if its
/// header does not fit.
pub(super) fn message(datagram: &[u8]) -> Option<Message<'_>> {
    let length = usize::try_from(u32::from_ne_bytes(field(datagram, 0)?)).ok()?;
    let kind = u16::from_ne_bytes(field(datagram, 4)?);
    // Unicast to auditd leaves the header out of the length
    // (`audit_log_end`, kernel/audit.c, 6.12); multicast counts it.
    let payload = datagram.get(HEADER..length.min(datagram.len()))?;
    Some(Message { kind, payload })
}

/// A request with a payload, to be acknowledged.
pub(super) fn message_with(kind: u16, payload: &[u8]) -> Vec<u8> {
    /// `NLM_F_ACK`.
    const ACK: u16 = 4;

    let mut bytes = request(kind).to_vec();
    bytes.extend_from_slice(payload);
    let length = u32::try_from(bytes.len()).unwrap_or(REQUEST_LENGTH);
    bytes[0..4].copy_from_slice(&length.to_ne_bytes());
    bytes[6..8].copy_from_slice(&(REQUEST | ACK).to_ne_bytes());
    bytes
}

/// A request without a payload.
pub(super) fn request(kind: u16) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[0..4].copy_from_slice(&REQUEST_LENGTH.to_ne_bytes());
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    bytes[6..8].copy_from_slice(&REQUEST.to_ne_bytes());
    bytes
}

/// `lost` of `struct audit_status`: its seventh word.
pub(super) fn status_lost(payload: &[u8]) -> Option<u32> {
    field(payload, 24).map(u32::from_ne_bytes)
}

/// The error number of an `NLMSG_ERROR`, positive; 0 acknowledges.
pub(super) fn errno(payload: &[u8]) -> Option<i32> {
    field(payload, 0).map(|bytes| i32::from_ne_bytes(bytes).saturating_neg())
}

/// The serial number in `audit(1795460062.091:9): …`.
pub(super) fn serial(payload: &[u8]) -> Option<u32> {
    let head = payload.strip_prefix(b"audit(")?;
    let head = head.get(..48).unwrap_or(head);
    let colon = memchr::memchr(b':', head)?;
    let close = memchr::memchr(b')', head)?;
    std::str::from_utf8(head.get(colon + 1..close)?)
        .ok()?
        .parse()
        .ok()
}

fn field<const LENGTH: usize>(bytes: &[u8], at: usize) -> Option<[u8; LENGTH]> {
    bytes.get(at..at + LENGTH)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = request(kind).to_vec();
        bytes.extend_from_slice(payload);
        let length = u32::try_from(bytes.len()).expect("short");
        bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_message_and_its_serial() {
        let bytes = datagram(1400, b"audit(1795460062.091:9): apparmor=\"DENIED\"");
        let found = message(&bytes).expect("a message");
        assert_eq!(found.kind, 1400);
        assert_eq!(serial(found.payload), Some(9));
    }

    #[test]
    fn what_is_cut_short() {
        let bytes = datagram(1400, b"audit(1.1:9): x");
        assert_eq!(message(&bytes[..10]), None);
        assert_eq!(
            message(&bytes[..20]).map(|found| found.payload),
            Some(&b"audi"[..])
        );
        for payload in [
            "",
            "audit(",
            "audit(1.1:)",
            "audit(1.1:99999999999)",
            "audit)1:2(",
        ] {
            assert_eq!(serial(payload.as_bytes()), None, "{payload}");
        }
    }

    #[test]
    fn a_status_and_an_error() {
        let words: Vec<u8> = (0..10_u32).flat_map(u32::to_ne_bytes).collect();
        assert_eq!(status_lost(&words), Some(6));
        assert_eq!(status_lost(&words[..24]), None);
        assert_eq!(errno(&(-1_i32).to_ne_bytes()), Some(1));
    }
}
