package challenges

// Matrix ids in the generator's nonce word.
const (
	matrixA = 0
	matrixB = 1
)

// blockBytes is the size of one generator block: ChaCha8 (Bernstein, "ChaCha, a
// variant of Salsa20", 2008) with a 256-bit key, a 64-bit block index and a
// 64-bit nonce that is the matrix id.
const blockBytes = 64
