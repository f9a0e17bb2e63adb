// The smallest WebM file that a player can seek in: key frames alone, one cluster for each picture, and in
// front of them an index (Cues). https://www.matroska.org/technical/elements.html
//
// A lossy WebP picture is a VP8 key frame in another envelope, so any canvas can make frames.

const ID = {
  EBML: 0x1a45dfa3, DocType: 0x4282, DocTypeVersion: 0x4287, DocTypeReadVersion: 0x4285,
  Segment: 0x18538067,
  Info: 0x1549a966, TimestampScale: 0x2ad7b1, Duration: 0x4489, MuxingApp: 0x4d80, WritingApp: 0x5741,
  Tracks: 0x1654ae6b, TrackEntry: 0xae, TrackNumber: 0xd7, TrackUID: 0x73c5, TrackType: 0x83,
  CodecID: 0x86, Video: 0xe0, PixelWidth: 0xb0, PixelHeight: 0xba,
  Cues: 0x1c53bb6b, CuePoint: 0xbb, CueTime: 0xb3, CueTrackPositions: 0xb7, CueTrack: 0xf7,
  CueClusterPosition: 0xf1,
  Cluster: 0x1f43b675, Timestamp: 0xe7, SimpleBlock: 0xa3,
};

const VIDEO = 1;
const KEY_FRAME = 0x80;
const NS_PER_MS = 1_000_000;

// A file that shows one picture after the other, each for so many frames.
export function webm(pictures, { width, height, framesEach, frameMs }) {
  const pictureMs = framesEach * frameMs;
  const clusters = pictures.map(keyFrame).map((frame, picture) => element(ID.Cluster, [
    number(ID.Timestamp, picture * pictureMs),
    ...Array.from({ length: framesEach }, (_, index) =>
      element(ID.SimpleBlock, [blockHead(index * frameMs), frame])),
  ]));
  const description = Buffer.concat([
    element(ID.Info, [
      number(ID.TimestampScale, NS_PER_MS),
      float(ID.Duration, pictures.length * pictureMs),
      text(ID.MuxingApp, 'matrix-media-edge'),
      text(ID.WritingApp, 'matrix-media-edge'),
    ]),
    element(ID.Tracks, [
      element(ID.TrackEntry, [
        number(ID.TrackNumber, 1),
        number(ID.TrackUID, 1),
        number(ID.TrackType, VIDEO),
        text(ID.CodecID, 'V_VP8'),
        element(ID.Video, [number(ID.PixelWidth, width), number(ID.PixelHeight, height)]),
      ]),
    ]),
  ]);
  // Numbers have a fixed size, so the index is as long with wrong positions as with right ones.
  const cluster0 = description.length + cues(clusters, pictureMs, 0).length;
  const segment = element(ID.Segment, [description, cues(clusters, pictureMs, cluster0), ...clusters]);
  const head = element(ID.EBML, [
    text(ID.DocType, 'webm'), number(ID.DocTypeVersion, 2), number(ID.DocTypeReadVersion, 2),
  ]);
  return Buffer.concat([head, segment]);
}

function cues(clusters, clusterMs, first) {
  let position = first;
  return element(ID.Cues, clusters.map((cluster, index) => {
    const point = element(ID.CuePoint, [
      number(ID.CueTime, index * clusterMs),
      element(ID.CueTrackPositions, [number(ID.CueTrack, 1), number(ID.CueClusterPosition, position)]),
    ]);
    position += cluster.length;
    return point;
  }));
}

// The VP8 chunk of a WebP file: https://developers.google.com/speed/webp/docs/riff_container
function keyFrame(picture) {
  for (let at = 12; at < picture.length;) {
    const length = picture.readUInt32LE(at + 4);
    if (picture.toString('latin1', at, at + 4) === 'VP8 ') return picture.subarray(at + 8, at + 8 + length);
    at += 8 + length + (length % 2);
  }
  throw new Error('the picture is no lossy WebP');
}

function blockHead(timestamp) {
  const head = Buffer.from([0x81, 0, 0, KEY_FRAME]);
  head.writeInt16BE(timestamp, 1);
  return head;
}

function element(id, parts) {
  const body = Buffer.concat(parts);
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(body.length) | (1n << 56n));
  return Buffer.concat([Buffer.from(id.toString(16), 'hex'), size, body]);
}

function number(id, value) {
  const body = Buffer.alloc(4);
  body.writeUInt32BE(value);
  return element(id, [body]);
}

function float(id, value) {
  const body = Buffer.alloc(8);
  body.writeDoubleBE(value);
  return element(id, [body]);
}

function text(id, value) {
  return element(id, [Buffer.from(value)]);
}
