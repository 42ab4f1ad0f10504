// The most probable tokens of a block of a response, for the tip of the tokens: asked for when the mouse first rests there.
// And those of all tokens, when one takes the table away. In: JSON bytes of {document, block, rows of [[label, probability,
// drawn], ...], whole of [[id, label, probability], ...]}. Out: state `wanted`, a block; trigger `whole`.
export default function ({ data: bytes, setStateValue, setTriggerValue }) {
  const data = JSON.parse(new TextDecoder().decode(bytes));
  const peeked = (window.onoffPeeked ??= new Map());
  if (data.rows) {
    if (peeked.size > 500) peeked.clear();
    peeked.set(data.document + "/" + data.block, data.rows);
    window.dispatchEvent(new Event("onoff-peeked"));
  }
  if (data.whole) {
    peeked.set(data.document + "/whole", data.whole);
    window.dispatchEvent(new Event("onoff-whole"));
  }
  const ask = ({ detail }) => {
    if (detail.document !== data.document) return;
    if (detail.block === "whole") setTriggerValue("whole", true);
    else setStateValue("wanted", detail.block);
  };
  window.addEventListener("onoff-peek", ask);
  return () => window.removeEventListener("onoff-peek", ask);
}
