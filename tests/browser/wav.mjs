// A WAV file of so many seconds: noise, 16 bits, two channels.
import { randomFillSync } from 'node:crypto';

const RATE = 44_100;
const CHANNELS = 2;
const BYTES_PER_SAMPLE = 2;
const HEAD_BYTES = 44;

export const BYTES_PER_SECOND = RATE * CHANNELS * BYTES_PER_SAMPLE;

export function wav(seconds) {
  const length = seconds * BYTES_PER_SECOND;
  const file = Buffer.alloc(HEAD_BYTES + length);
  file.write('RIFF', 0);
  file.writeUInt32LE(HEAD_BYTES - 8 + length, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20); // PCM
  file.writeUInt16LE(CHANNELS, 22);
  file.writeUInt32LE(RATE, 24);
  file.writeUInt32LE(BYTES_PER_SECOND, 28);
  file.writeUInt16LE(CHANNELS * BYTES_PER_SAMPLE, 32);
  file.writeUInt16LE(BYTES_PER_SAMPLE * 8, 34);
  file.write('data', 36);
  file.writeUInt32LE(length, 40);
  randomFillSync(file, HEAD_BYTES);
  return file;
}
