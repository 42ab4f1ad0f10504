// The most probable tokens of a block of a response, for the tip of the tokens: asked for when the mouse first rests there.
// In: JSON bytes of {document, block, rows of [[label, probability, drawn], ...]}. Out: state `wanted`, "block document".
export default function ({ data: bytes, setStateValue }) {
  const data = JSON.parse(new TextDecoder().decode(bytes));
  const peeked = (window.onoffPeeked ??= new Map());
  if (data.rows) {
    if (peeked.size > 500) peeked.clear();
    peeked.set(data.document + "/" + data.block, data.rows);
    window.dispatchEvent(new Event("onoff-peeked"));
  }
  const ask = ({ detail }) => { if (detail.document === data.document) setStateValue("wanted", detail.block); };
  window.addEventListener("onoff-peek", ask);
  return () => window.removeEventListener("onoff-peek", ask);
}
