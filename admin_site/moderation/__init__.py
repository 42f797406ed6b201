"""What moderators judge: cases, reports, reviews, identity documents."""
