package attest_test

import (
	"fmt"

	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
)

// A card is asked to sign a nonce, and its evidence is verified without a network. Of
// real cards the trust is attest.NVIDIA(), and the evidence comes from the driver.
func ExampleVerify() {
	maker := synthetic.New([32]byte{1})
	card := maker.Card(synthetic.CardConfig{Kind: synthetic.Hopper, Driver: "550.90.07"})

	evidence := card.Sign([32]byte{0xC0, 0xFF, 0xEE})
	result := attest.Verify(evidence, maker.Trust(), attest.Reference{})
	fmt.Println(result.Holds(), result.Grade, result.Chip, result.Driver, result.VBIOS)

	evidence.Nonce = &[32]byte{0xBA, 0xD0}
	result = attest.Verify(evidence, maker.Trust(), attest.Reference{})
	fmt.Println(result.Holds(), result.Grade, result.Reasons[0].Code)
	// Output:
	// true identity GH100 550.90.07 96.00.9F.00.01
	// false none nonce-mismatch
}
