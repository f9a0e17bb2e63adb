// What stands in for a dataset of Analytics Engine: tells the log what is written, or throws.
export default ({ fails }) => ({
  writeDataPoint(point) {
    if (fails) throw new TypeError('a data point of https://example.com/secret is too large');
    console.log(`POINT ${JSON.stringify(point)}`);
  },
});
