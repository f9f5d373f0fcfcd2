module dev.bothy.guest {
}
