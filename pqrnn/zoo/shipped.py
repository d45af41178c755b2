"""The parsers that come with pqrnn, by the SHA-256 of their entries, which in turn state those of their files.

They are held to these digests whenever they are used, so that a changed weight in an installation is found. It takes
no signature: who could change this file could change the code that verifies one, too. A parser that is added to the
shipped shelf needs a line here, which `sha256sum pqrnn/zoo/checkpoints/NAME/entry.json` gives.
"""

ENTRIES = {
    "clinc150-en": "46f8a24c3e54d852eb2a98a77bdfb615b7bae57f8e55842dcd27d4b357385089",
    "massive-en": "4198315bbd7012046ec2553d5e94be4319ee7de45e352b8b4183df1c137c1eca",
    "mtop-de": "e99778b41a10da8c3e0ed76b007cc3bf9a80c29cf80d33c07f2b09cb8f65aa6c",
    "mtop-en": "07e6d4ce5775eb6ad3ac133a720814a30164313000db7095e1e0ae35655ab834",
    "mtop-es": "826d3cef434e928a0840ae1a25bd1d0dbd426eaf6f28f7a09d23a0ed5cdea608",
    "mtop-fr": "6cb5a883301dc35195022fb504ef4402629b0a74bf8b3ed9566b8b2d7e202ee3",
    "mtop-hi": "c96691cf42acee8aca4930ab7af740ebfce7c8e70da37a094bbafdb1dd01ea1c",
    "mtop-six": "0873c2285d446eaaea265ab93a0b601dd8a9ab1724703d29e3a912811a09cead",
    "mtop-th": "2c0bf51062c5855b907330b64df4877da373f960d5a7f968683e1c608d1107c0",
    "snips-en": "a961fe29923e59608e529c4eb6feac2094cfbc639da9392f5a871305b19a0122",
}
