// Probabilities as text, as in `numbers.py`: zero alone is 0, and what the digits cannot tell is 1.0e-6.
const probability = (p, digits = 4) => (p === 0 ? "0" : p >= 10 ** -digits ? p.toFixed(digits) : p.toExponential(digits > 2 ? 1 : 0));
// Of many tokens together: one less the probabilities of the others, in single precision.
const mass = (p) => (p < 1e-6 ? "< 1e-6" : probability(p));
