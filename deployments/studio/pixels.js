// Pictures as numbers: how far one is from another, and where.

const PEAK = 255;

/** The pixels of a picture file as RGBA bytes, untouched by colour management: an ImageData. */
export async function pixelsOf(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  brush.drawImage(bitmap, 0, 0);
  return brush.getImageData(0, 0, bitmap.width, bitmap.height);
}

/** Peak signal-to-noise ratio in dB over red, green and blue; infinite for equal pictures. */
export function psnrDb(picture, reference) {
  let sum = 0;
  for (let place = 0; place < picture.data.length; place += 4) {
    for (let channel = 0; channel < 3; channel += 1) {
      sum += (picture.data[place + channel] - reference.data[place + channel]) ** 2;
    }
  }
  const mean = sum / ((picture.data.length / 4) * 3);
  return mean === 0 ? Infinity : 10 * Math.log10(PEAK ** 2 / mean);
}

/** Draws the difference of two pictures, `gain` times as strong; black is equal. */
export function drawDifference(canvas, left, right, gain) {
  const difference = new ImageData(left.width, left.height);
  for (let place = 0; place < left.data.length; place += 4) {
    for (let channel = 0; channel < 3; channel += 1) {
      difference.data[place + channel] = gain * Math.abs(left.data[place + channel] - right.data[place + channel]);
    }
    difference.data[place + 3] = PEAK;
  }
  canvas.width = left.width;
  canvas.height = left.height;
  canvas.getContext("2d").putImageData(difference, 0, 0);
}
