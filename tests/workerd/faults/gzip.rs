//! gzip as plainly as RFC 1952 allows: in blocks that are not compressed at all.

const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const TAIL_BYTES: usize = 8;

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = HEAD.to_vec();
    let mut blocks = bytes.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).expect("a block");
        packed.push(u8::from(blocks.peek().is_none()));
        packed.extend(length.to_le_bytes());
        packed.extend((!length).to_le_bytes());
        packed.extend(block);
    }
    packed.extend(crc32(bytes).to_le_bytes());
    packed.extend(u32::try_from(bytes.len()).expect("a small body").to_le_bytes());
    packed
}

/// The bytes that [`gzip`] has packed.
pub(crate) fn gunzip(packed: &[u8]) -> Option<Vec<u8>> {
    let mut rest = packed.strip_prefix(&HEAD)?;
    let mut bytes = Vec::new();
    while rest.len() > TAIL_BYTES {
        let (head, after) = rest.split_at_checked(5)?;
        let (block, after) =
            after.split_at_checked(u16::from_le_bytes([head[1], head[2]]).into())?;
        bytes.extend(block);
        rest = after;
    }
    Some(bytes)
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
